import { afterAll, describe, expect, it } from 'vitest'
import { startScriptedIssuer } from '../../helpers/scripted-issuer.js'
import { createDesk, startResource } from '../../helpers/sign-in.js'

const ASKED = { interactive: 'requested' } as const

const GOOD = { access_token: 'first', token_type: 'Bearer', refresh_token: 'kept' }

const closing: (() => Promise<unknown>)[] = []

afterAll(async () => {
  for (const close of closing) await close()
})

/** Starts a server that signs in, a resource behind it, and somebody who uses both. */
async function open() {
  const issuer = await startScriptedIssuer()
  const resource = await startResource(issuer.issuer)
  closing.push(issuer.close, resource.close)
  const answer = (body: unknown, status = 200) => {
    issuer.token = () => ({ status, body })
  }
  return {
    issuer,
    answer,
    ...createDesk({ target: { grant: { kind: 'server', url: resource.url } } }),
  }
}

describe('null and empty members', () => {
  it.each([null, ''])('of a registration (%j) are absent', async (nothing) => {
    const optional = {
      client_secret: nothing,
      client_secret_expires_at: nothing,
      token_endpoint_auth_method: nothing,
      redirect_uris: nothing,
      grant_types: nothing,
      scope: nothing,
      client_uri: nothing,
      jwks: nothing,
    }
    const { issuer, signIn, clients } = await open()
    issuer.register = (_request, id) => ({ status: 201, body: { client_id: id, ...optional } })
    await signIn.ensure(ASKED)
    expect(issuer.tokenRequests[0]?.form).toMatchObject({ client_id: 'client-1' })
    expect(await clients.load(issuer.issuer)).toMatchObject({ client: { authMethod: 'none' } })
  })

  it.each([null, ''])('of a token answer (%j) are absent', async (nothing) => {
    const { answer, signIn } = await open()
    answer({
      access_token: 'first',
      token_type: nothing,
      expires_in: nothing,
      refresh_token: nothing,
      scope: nothing,
      id_token: nothing,
      error: nothing,
      error_description: nothing,
    })
    expect(await signIn.ensure(ASKED)).toMatchObject({
      accessToken: 'first',
      refreshToken: undefined,
      expiresAt: undefined,
      scope: undefined,
    })
  })

  it.each([null, ''])(
    'of a refresh (%j) leave the refresh token and the scopes',
    async (nothing) => {
      const { answer, signIn, source, store, binding } = await open()
      answer({ ...GOOD, scope: 'a b' })
      await signIn.ensure(ASKED)
      answer({
        access_token: 'second',
        token_type: 'bearer',
        refresh_token: nothing,
        scope: nothing,
      })
      expect(await source.refused('first')).toEqual({ next: 'retry' })
      expect(await store.load(binding)).toMatchObject({
        accessToken: 'second',
        refreshToken: 'kept',
        scope: 'a b',
      })
    },
  )

  it.each([
    ['a list of scopes', { scope: ['a', 'b'] }, { scope: 'a b' }],
    ['a lifetime as text', { expires_in: '60' }, { expiresAt: expect.any(Number) }],
    ['a lifetime that is none', { expires_in: 'soon' }, { expiresAt: undefined }],
    ['a negative lifetime', { expires_in: -1 }, { expiresAt: undefined }],
  ])('are no worse than %s', async (_, more, expected) => {
    const { answer, signIn } = await open()
    answer({ ...GOOD, ...more })
    expect(await signIn.ensure(ASKED)).toMatchObject(expected)
  })
})

// each is tried again after a while, so they wait together
describe.concurrent('an answer to a refresh that cannot be read', () => {
  const UNREADABLE: [string, unknown, number][] = [
    ['no token', {}, 200],
    ['null for the token', { access_token: null }, 200],
    ['an empty token', { access_token: '', token_type: 'Bearer' }, 200],
    ['a token of another type', { access_token: 'x', token_type: 'mac' }, 200],
    ['a number for the token', { access_token: 7 }, 200],
    ['a list', [], 200],
    ['a text', 'ok', 200],
    ['nothing', '', 200],
    ['a page with 200', '<html>sign in to the Wi-Fi</html>', 200],
    ['503', { error: 'server_error' }, 503],
    ['500 with a page', '<html>', 500],
    ['429', '', 429],
  ]
  it.each(UNREADABLE)(
    'keeps the refresh token: %s',
    async (_, body, status) => {
      const { answer, signIn, source, store, binding } = await open()
      answer(GOOD)
      await signIn.ensure(ASKED)
      answer(body, status)
      await expect(source.refused('first')).rejects.toMatchObject({ code: 'ISSUER_UNREACHABLE' })
      expect(await store.load(binding)).toMatchObject({ refreshToken: 'kept' })
    },
    30_000,
  )

  it.each([
    ['another issuer', { issuer: 'https://other.example' }],
    ['no token endpoint', { token_endpoint: null }],
    ['a token endpoint on plain http', { token_endpoint: 'http://mcp.example/token' }],
    ['no PKCE', { code_challenge_methods_supported: [] }],
  ])(
    'keeps the refresh token: metadata with %s',
    async (_, change) => {
      const { answer, issuer, signIn, source, store, binding } = await open()
      answer(GOOD)
      await signIn.ensure(ASKED)
      Object.assign(issuer.metadata, change)
      await expect(source.refused('first')).rejects.toMatchObject({ code: 'ISSUER_UNREACHABLE' })
      expect(await store.load(binding)).toMatchObject({ refreshToken: 'kept' })
      for (const { form } of issuer.tokenRequests) expect(form).not.toHaveProperty('refresh_token')
    },
    30_000,
  )
})

describe('an answer with a code for another device', () => {
  it.each([null, ''])('has %j for what is optional', async (nothing) => {
    const { issuer, runtime } = await open()
    issuer.metadata['device_authorization_endpoint'] = `${issuer.issuer}/device`
    issuer.pages.set('/device', {
      status: 200,
      body: {
        device_code: 'd',
        user_code: 'ABCD',
        verification_uri: `${issuer.issuer}/enter`,
        verification_uri_complete: nothing,
        expires_in: 300,
        interval: nothing,
      },
    })
    const { requestDeviceCodes } = await import('../../../src/auth/oauth/device.js')
    const { discoverAuthorizationServer } = await import(
      '../../../src/auth/oauth/server-metadata.js'
    )
    const server = await discoverAuthorizationServer(runtime, issuer.issuer)
    if (server === undefined) throw new Error('There is metadata')
    const client = { id: 'c', secret: undefined, authMethod: 'none', source: 'static' } as const
    const codes = await requestDeviceCodes(runtime, {
      server,
      client: { ...client, redirectUris: [] },
      resource: undefined,
      scope: undefined,
    })
    expect(codes).toMatchObject({ verificationUriComplete: undefined, interval: 5 })
  })
})
