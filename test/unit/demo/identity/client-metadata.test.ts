import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  fetchClientMetadata,
  parseClientMetadata,
  urlProblem,
} from '../../../../src/demo/identity/client-metadata.js'
import { authorizationUrl, discover, REDIRECT_URI, signIn, start, visit } from './support.js'

let server: Server
let origin: string
beforeAll(async () => {
  server = createServer((request, response) => {
    const clientId = origin + request.url
    const document = { client_id: clientId, client_name: 'CIMD', redirect_uris: [REDIRECT_URI] }
    if (request.url === '/redirect') {
      response.writeHead(302, { location: '/client.json' }).end()
    } else if (request.url === '/missing') {
      response.writeHead(404).end()
    } else if (request.url === '/large') {
      response.end(JSON.stringify({ ...document, padding: 'x'.repeat(20_000) }))
    } else {
      response.end(JSON.stringify(document))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => server.close())

describe('client id metadata document', () => {
  it('signs in a client that never registered', async () => {
    const identity = await start({ cimd: true, dcr: false })
    const as = await discover(identity)
    expect(as['client_id_metadata_document_supported']).toBe(true)
    const tokens = await signIn(as, { client_id: `${origin}/client.json` })
    expect(tokens.refresh_token).toBeDefined()
    expect(identity.counters).toMatchObject({ metadataFetches: 1, registrations: 0 })
  })

  it('gives a page, not a redirect, for a redirect URI on another port', async () => {
    const as = await discover(await start({ cimd: true }))
    const { url } = await authorizationUrl(
      as,
      { client_id: `${origin}/client.json` },
      { extra: { redirect_uri: 'http://127.0.0.1:1/callback' } },
    )
    await expect(visit(url)).rejects.toThrow('no redirect: 400')
  })

  it.each([
    ...['javascript:alert(1)', 'JavaScript://x/%0aalert(1)', 'data:text/html,x', 'vbscript:x'],
    ...['view-source:https://a.example/', 'file:///etc/passwd', 'http://app.example.com/cb', 'cb'],
  ])('is refused with the redirect URI %s', (uri) => {
    const clientId = 'https://app.example.com/client.json'
    const text = JSON.stringify({ client_id: clientId, redirect_uris: [REDIRECT_URI, uri] })
    expect(() => parseClientMetadata(clientId, text)).toThrow(/redirect URI/)
  })

  it.each(['/redirect', '/missing', '/large'])('is refused at %s', async (path) => {
    await expect(fetchClientMetadata(origin + path)).rejects.toMatchObject({
      kind: 'invalid_metadata',
    })
  })

  it('is refused before login, on a page that says why', async () => {
    const as = await discover(await start({ cimd: true }))
    const { url } = await authorizationUrl(as, { client_id: 'http://127.0.0.1:1/client.json' })
    await expect(visit(url)).rejects.toThrow(/401[\s\S]*could not be fetched[\s\S]*invalid_client/)
  })

  it.each([
    'https://app.example/client.json',
    'http://127.0.0.1:8080/client.json',
    'http://localhost/client.json',
    'http://[::1]/client.json',
  ])('may stand at %s', (url) => {
    expect(urlProblem(url)).toBeUndefined()
  })

  it.each([
    ['http://app.example/client.json', 'https'],
    ['http://127.0.0.1.evil.example/client.json', 'https'],
    ['https://user:secret@app.example/client.json', 'credentials'],
    ['https://app.example/client.json#x', 'fragment'],
    ['https://app.example/', 'path'],
    ['https://app.example/a/../client.json', 'normal form'],
    ['https://', 'not a URL'],
  ])('may not stand at %s', (url, problem) => {
    expect(urlProblem(url)).toContain(problem)
  })

  const id = 'https://app.example/client.json'
  it.each([
    ['text', 'nonsense', 'JSON object'],
    ['another client id', { client_id: 'x', redirect_uris: ['a:b'] }, '"client_id"'],
    ['no redirect URI', { client_id: id }, '"redirect_uris"'],
    ['a secret', { client_id: id, redirect_uris: ['a:b'], client_secret: 's' }, '"client_secret"'],
    [
      'a method that needs a secret',
      { client_id: id, token_endpoint_auth_method: 'client_secret_basic' },
      '"token_endpoint_auth_method"',
    ],
  ])('may not hold %s', (_name, document, problem) => {
    const text = typeof document === 'string' ? document : JSON.stringify(document)
    expect(() => parseClientMetadata(id, text)).toThrow(problem)
  })
})
