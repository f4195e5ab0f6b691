import { Agent } from 'node:http'
import { connect } from 'node:net'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Identity } from '../../../src/demo/identity/index.js'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { send } from '../../helpers/targets/raw-client.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let target: RecordingTarget
let stack: Stack
beforeAll(async () => {
  target = await startRecordingTarget()
  stack = await startStack({ targets: { target: target.url } })
})
beforeEach(() => target.clear())
afterAll(async () => {
  await stack.close()
  await target.close()
})

const call = {
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: { name: 'target_echo', arguments: {} },
}

const now = () => Math.floor(Date.now() / 1000)
const P = 'P'.padEnd(28, 'x')

/** Each token and the word that its refusal says. */
const REFUSED: [string, RegExp, (identity: Identity, resource: string) => Promise<string>][] = [
  ['without a signature (alg none)', /JWT/, (i, aud) => i.mint({ aud }, { alg: 'none' })],
  ['signed HS256 with the public key', /RS256/, (i, aud) => i.mint({ aud }, { alg: 'HS256' })],
  ['signed PS256', /RS256/, (i, aud) => i.mint({ aud }, { alg: 'PS256' })],
  ['that never expires', /exp/i, (i, aud) => i.mint({ aud, exp: undefined })],
  ['that has expired', /expired/i, (i, aud) => i.mint({ aud, exp: now() - 60 })],
  ['that is not valid yet', /not valid yet|yet/i, (i, aud) => i.mint({ aud, nbf: now() + 600 })],
  ['issued in the future', /future|yet/i, (i, aud) => i.mint({ aud, iat: now() + 600 })],
  ['of another project', /issuer/i, (i, aud) => i.mint({ aud, iss: `${i.url}/v1/apps/${P}` })],
  [
    'of another host',
    /issuer/i,
    (i, aud) => i.mint({ aud, iss: `https://evil.example/v1/apps/${i.projectId}` }),
  ],
  [
    'of a deeper issuer path',
    /issuer/i,
    (i, aud) => i.mint({ aud, iss: `${i.url}/v1/apps/${i.projectId}/a/b` }),
  ],
  ['for the project only', /audience/i, (i) => i.mint({ aud: i.projectId })],
  ['for another server', /audience/i, (i) => i.mint({ aud: 'https://other.example/mcp' })],
  ['of another type', /typ/i, (i, aud) => i.mint({ aud }, { typ: 'logout+jwt' })],
  ['with critical headers', /extension/, (i, aud) => i.mint({ aud }, { crit: ['b64'], b64: true })],
  ['signed by a foreign key', /signature/i, (i, aud) => i.mint({ aud }, {}, { key: 'foreign' })],
  ['of an unknown key', /key/i, (i, aud) => i.mint({ aud }, { kid: '../../etc/passwd' })],
  ['that is a refresh token', /access token/i, (i, aud) => i.mint({ aud, drn: 'DSR' })],
  [
    'that is an ID token',
    /access token/i,
    (i, aud) => i.mint({ aud, scope: undefined, nonce: 'n', at_hash: 'x' }),
  ],
  ['bound to a key by DPoP', /bound to a key/, (i, aud) => i.mint({ aud, cnf: { jkt: 'k' } })],
  ['bound to a certificate', /bound/, (i, aud) => i.mint({ aud, cnf: { 'x5t#S256': 'c' } })],
  ['with an empty cnf', /bound to a key/, (i, aud) => i.mint({ aud, cnf: null })],
  ['larger than 16 KB', /large|long/i, (i, aud) => i.mint({ aud, padding: 'x'.repeat(13_000) })],
  ['that is no JWT', /token/i, async () => 'opaque-token'],
]

describe('a token', () => {
  it.each(REFUSED)('%s is refused with 401 and its reason', async (_title, reason, mint) => {
    const token = await mint(stack.identity, stack.server.resource)
    const response = await stack.post(call, { authorization: `Bearer ${token}` })
    // Node itself refuses a header section of more than 16 KB
    expect(response.status).toBe(token.length > 16_000 ? 431 : 401)
    if (response.status === 401) {
      const [refused] = stack
        .logs()
        .filter(({ event }) => event === 'token_refused')
        .slice(-1)
      expect(refused).toMatchObject({
        // tokens end all the time
        level: refused?.['reason'] === 'expired' ? 'info' : 'warn',
        reason: expect.stringMatching(/^[a-z_]+$/),
        outcome: 'refused',
        remote: '127.0.0.1',
      })
      expect(stack.logText()).not.toContain(token.slice(0, 60))
      const challenge = response.headers.get('www-authenticate') ?? ''
      expect(challenge).toMatch(/^Bearer error="invalid_token", error_description="/)
      expect(/error_description="([^"]*)"/.exec(challenge)?.[1]).toMatch(reason)
      expect(challenge).toContain(
        `resource_metadata="${stack.origin.replace('127.0.0.1', 'localhost')}`,
      )
    }
    expect(target.requests).toHaveLength(0)
  })

  it('that names a key in its own header is checked with ours', async () => {
    const header = { jku: `${stack.identity.url}/evil`, x5u: 'https://evil.example', jwk: {} }
    const token = await stack.identity.mint({ aud: stack.server.resource }, header)
    const response = await stack.post(call, { authorization: `Bearer ${token}` })
    expect(response.status).toBe(200)
    expect(stack.identity.requests.some(({ path }) => path.includes('evil'))).toBe(false)
  })

  it('with a trailing slash in its audience is accepted', async () => {
    const token = await stack.token({ aud: `${stack.server.resource}/` })
    expect((await stack.post(call, { authorization: `Bearer ${token}` })).status).toBe(200)
  })

  it('[mcp-authz-r10] in the query is not looked at', async () => {
    const token = await stack.token()
    const response = await fetch(`${stack.url}?access_token=${token}`, { method: 'POST' })
    expect(response.status).toBe(401)
  })

  it('[rfc6750-3.1] is asked for without an error when none was sent', async () => {
    const response = await fetch(stack.url, { method: 'POST' })
    expect(response.status).toBe(401)
    const challenge = response.headers.get('www-authenticate') ?? ''
    expect(challenge).not.toContain('error=')
    expect(challenge).toContain('scope="mcp:use"')
  })

  it.each([
    ['a good one first', (good: string) => [good, 'Bearer bad.token.x']],
    ['a good one last', (good: string) => ['Bearer bad.token.x', good]],
    ['the same twice', (good: string) => [good, good]],
  ])('in two Authorization headers is refused, %s', async (_title, both) => {
    const lines = both(`Bearer ${await stack.token()}`).map((value) => `Authorization: ${value}`)
    expect(await rawStatus('POST /mcp', lines)).toBe(401)
    // also behind a request that was let in on the same connection
    expect(await rawStatus('POST /mcp', [lines[0] as string, 'authorization: Basic eA=='])).toBe(
      401,
    )
    expect(target.requests).toHaveLength(0)
  })

  it('stops being good when it expires, on a connection in use, too', async () => {
    const token = await stack.token({ exp: now() + 2 })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const headers = { authorization: `Bearer ${token}` }
    const ask = () => send(stack.url, { headers, body: call, agent })
    expect((await ask()).status).toBe(200)
    await eventually(async () => expect((await ask()).status).toBe(401))
    expect(now()).toBeLessThan(JSON.parse(atob(token.split('.')[1] ?? '')).exp + 10)
    agent.destroy()
  })

  it('under another scheme is refused', async () => {
    const token = await stack.token()
    expect((await stack.post(call, { authorization: `Basic ${token}` })).status).toBe(401)
  })
})

/** Sends a request line as it is; resolves with the status. */
function rawStatus(line: string, headers: string[] = []): Promise<number> {
  const { port } = stack.server
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      const body = JSON.stringify(call)
      socket.write(
        `${line} HTTP/1.1\r\nHost: localhost:${port}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n${body}`,
      )
    })
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0)))
    socket.on('error', reject)
  })
}

const PUBLIC = new Set(['/', '/healthz', '/readyz'])

describe('without a token', () => {
  const ODD = ['//mcp', '/%6dcp', '/mcp;x=1', '/mcp%00', '/\\mcp', '/mcp#x', '/./mcp', '/x/../mcp']
  it.each([
    ...ODD.map((path) => `POST ${path}`),
    'POST /mcp?x=/.well-known/oauth-protected-resource',
    'POST /mcp/',
    'GET /mcp',
    'DELETE /mcp',
    'PUT /mcp',
    'PATCH /anything',
    'GET /metrics',
    'GET /.well-known/other',
    'POST http://localhost/mcp',
    'OPTIONS /mcp/../metrics',
    'TRACE /mcp',
    'BREW /mcp',
    'GET /mcp/sse',
    'GET /admin',
    'POST /healthz/mcp',
  ])('%s reaches no target and gives nothing away', async (line) => {
    expect(line.startsWith('OPTIONS') ? [204] : [400, 401]).toContain(await rawStatus(line))
    expect(target.requests).toHaveLength(0)
  })

  it('no other path and verb gives anything away', async () => {
    const segment = fc.constantFrom(
      'mcp',
      '..',
      '.',
      '',
      '%6dcp',
      '.well-known',
      'healthz',
      'admin',
    )
    const path = fc.array(segment, { minLength: 2, maxLength: 4 }).map((parts) => parts.join('/'))
    const verb = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE')
    await fc.assert(
      fc.asyncProperty(verb, path, async (method, rest) => {
        const status = await rawStatus(`${method} /${rest}`)
        expect(status).toBe(PUBLIC.has(`/${rest}`) ? (/GET|HEAD/.test(method) ? 200 : 405) : 401)
        expect(target.requests).toHaveLength(0)
      }),
      { numRuns: 150 },
    )
  })

  it.each([
    '/.well-known/oauth-protected-resource',
    '/.well-known/oauth-protected-resource/mcp',
    '/.well-known/oauth-authorization-server',
    '/.well-known/oauth-authorization-server/mcp',
    '/.well-known/openid-configuration',
    '/.well-known/openid-configuration/mcp',
    '/healthz',
    '/readyz',
    '/',
  ])('GET %s is public, and HEAD with it', async (path) => {
    const response = await fetch(stack.origin + path)
    expect(response.status).toBe(200)
    expect((await response.text()).length).toBeGreaterThan(5)
    expect((await fetch(stack.origin + path, { method: 'HEAD' })).status).toBe(200)
    expect((await fetch(stack.origin + path, { method: 'POST' })).status).toBe(405)
  })

  it('[mcp-authz-r1] the metadata names this resource and the MCP server as issuer, byte for byte', async () => {
    const response = await fetch(`${stack.origin}/.well-known/oauth-protected-resource/mcp`)
    expect(await response.json()).toMatchObject({
      resource: stack.server.resource,
      authorization_servers: [stack.identity.issuer],
      scopes_supported: ['mcp:use'],
    })
  })
})

it('[mcp-authz-r6] a token without the required scopes is refused with 403 and all of them', async () => {
  const strict = await startStack({
    targets: { target: target.url },
    config: { descope: { requiredScopes: ['mcp:use', 'mcp:admin'] } },
  })
  try {
    const response = await strict.post(call)
    expect(response.status).toBe(403)
    expect(response.headers.get('www-authenticate')).toMatch(
      /error="insufficient_scope".*scope="mcp:use mcp:admin"/,
    )
  } finally {
    await strict.close()
  }
})

it('a key that Descope rotated to is fetched and its tokens pass', async () => {
  const fresh = await startStack({ targets: { target: target.url } })
  try {
    await fresh.identity.rotateKeys()
    const response = await fresh.post(call, { authorization: `Bearer ${await fresh.token()}` })
    expect((await readMessage(response)).result).toBeDefined()
  } finally {
    await fresh.close()
  }
})
