import { createHash, randomUUID } from 'node:crypto'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as sdk from '@modelcontextprotocol/client'
import { extractWWWAuthenticateParams } from '@modelcontextprotocol/sdk/client/auth.js'
import { SignJWT } from 'jose'
import * as oauth from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createProxy } from '../../../src/index.js'
import { startCli } from '../../helpers/cli.js'
import { createProofKey, type ProofKey, unsignedProof } from '../../helpers/dpop.js'
import { createFolder } from '../../helpers/folder.js'
import { clock, type Stack, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let identity: Identity
let target: RecordingTarget
let stack: Stack
let mine: ProofKey
let theirs: ProofKey
/** Bound to `mine`. */
let bound: string
let unbound: string

beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget()
  stack = await startStack({
    targets: { target: target.url },
    identity,
    config: { descope: { dpop: 'accept' }, server: { endpoints: 'both' } },
  })
  mine = await createProofKey()
  theirs = await createProofKey()
  bound = await stack.token({ cnf: { jkt: mine.jkt } })
  unbound = await stack.token()
})
afterAll(async () => {
  for (const part of [stack, identity, target]) await part.close()
})

const PING = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'target_echo' } }

/** Sends a call on a connection of its own, with headers as they are given. */
function ask(headers: [string, string][], { url = stack.url, method = 'POST' } = {}) {
  const body = JSON.stringify(PING)
  const all: [string, string][] = [
    ['host', new URL(url).host],
    ['content-type', 'application/json'],
    ['accept', 'application/json, text/event-stream'],
    ['content-length', String(Buffer.byteLength(body))],
    ...headers,
  ]
  return new Promise<{ status: number; challenge: string }>((resolve, reject) => {
    const outgoing = request(url, { method, headers: all.flat(), agent: false }, (answer) => {
      const challenge = answer.headers['www-authenticate'] ?? ''
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, challenge })).resume()
    })
    outgoing.on('error', reject).end(body)
  })
}

/** Posts a call with a token and a proof. */
const withProof = (proof: string, token = bound, scheme = 'DPoP', url = stack.url) =>
  ask(
    [
      ['authorization', `${scheme} ${token}`],
      ['dpop', proof],
    ],
    { url },
  )

const prove = (changes?: Parameters<ProofKey['prove']>[1]) =>
  mine.prove({ token: bound, url: stack.url }, changes)

describe('a token bound to a key', () => {
  it.each(['DPoP', 'dpop', 'DPOP'])(
    'is taken with a proof of the key: scheme %s',
    async (scheme) => {
      const before = target.requests.length
      expect((await withProof(await prove(), bound, scheme)).status).toBe(200)
      const [request] = target.requests.slice(before)
      expect(request?.headers).not.toHaveProperty('dpop')
      expect(JSON.stringify(request?.headers)).not.toContain(bound)
    },
  )

  it.each(['ES256', 'ES384', 'ES512', 'EdDSA', 'PS256', 'RS256'])(
    'may be bound to a key for %s',
    async (alg) => {
      const key = await createProofKey(alg)
      const token = await stack.token({ cnf: { jkt: key.jkt } })
      const proof = await key.prove({ token, url: stack.url })
      expect((await withProof(proof, token)).status).toBe(200)
    },
  )

  it('is used by a client library that proves possession, for POST, GET and DELETE', async () => {
    const { privateKey, publicKey } = await oauth.generateKeyPair('ES256')
    const client: oauth.Client = { client_id: 'c' }
    const DPoP = oauth.DPoP(client, { privateKey, publicKey })
    const token = await stack.token({ cnf: { jkt: await DPoP.calculateThumbprint() } })
    const options = { [oauth.allowInsecureRequests]: true, DPoP }
    const json = new Headers({
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    })
    const url = new URL(stack.url)
    const post = await oauth.protectedResourceRequest(
      ...([token, 'POST', url, json, JSON.stringify(PING), options] as const),
    )
    expect(post.status).toBe(200)
    const events = new Headers({ accept: 'text/event-stream' })
    const stream = await oauth.protectedResourceRequest(token, 'GET', url, events, null, options)
    expect([200, 400, 404, 405]).toContain(stream.status)
    await stream.body?.cancel()
    const end = await oauth.protectedResourceRequest(token, 'DELETE', url, json, null, options)
    expect([200, 204, 400, 404, 405]).toContain(end.status)
  })

  it.each([
    ['with a slash at its end', (url: string) => `${url}/`],
    ['with a query and a fragment', (url: string) => `${url}?a=1#b`],
    ['in capitals', (url: string) => url.replace('http://localhost', 'HTTP://LOCALHOST')],
    ['by another name of this machine', (url: string) => url.replace('localhost', '127.0.0.1')],
    ['with an escaped letter', (url: string) => url.replace('/mcp', '/%6dcp')],
  ])('is taken where the proof names the URL %s', async (_title, change) => {
    const proof = await prove({ claims: { htu: change(stack.server.resource) } })
    expect((await withProof(proof)).status).toBe(200)
  })

  it('is not taken as Bearer, with a proof or without one, also after it was taken with one', async () => {
    const agentless = [['authorization', `Bearer ${bound}`]] as [string, string][]
    for (const more of [[], [['dpop', await prove()]]] as [string, string][][]) {
      const { status, challenge } = await ask([...agentless, ...more])
      expect(status).toBe(401)
      expect(challenge).toMatch(
        /^Bearer error="invalid_token", error_description=".*bound to a key/,
      )
      expect(challenge).toMatch(/, DPoP algs="ES256 [^"]+", resource_metadata="[^"]+"/)
    }
  })

  it('is asked for its proof on each request of a connection', async () => {
    const headers = async (proof?: string) => ({
      ...{ authorization: `DPoP ${bound}`, 'content-type': 'application/json' },
      accept: 'application/json, text/event-stream',
      ...(proof && { dpop: proof }),
    })
    const post = async (proof?: string) => {
      const body = JSON.stringify(PING)
      const answer = await fetch(stack.url, { method: 'POST', headers: await headers(proof), body })
      await answer.text()
      return answer
    }
    const proof = await prove()
    expect((await post(proof)).status).toBe(200)
    const again = await post(proof)
    expect(again.status).toBe(401)
    expect(again.headers.get('www-authenticate')).toContain(
      'DPoP error="invalid_dpop_proof", error_description="The DPoP proof was used before"',
    )
    expect((await post()).status).toBe(401)
    expect((await withProof(proof)).status).toBe(401)
    expect((await post(await prove())).status).toBe(200)
  })

  it.each<[string, () => Parameters<ProofKey['prove']>[1], RegExp]>([
    ['for another method', () => ({ claims: { htm: 'GET' } }), /htm/],
    ['for a method in small letters', () => ({ claims: { htm: 'post' } }), /htm/],
    ['for https', () => ({ claims: { htu: stack.url.replace('http:', 'https:') } }), /htu/],
    ['for another port', () => ({ claims: { htu: 'http://localhost:1/mcp' } }), /htu/],
    ['for another host', () => ({ claims: { htu: 'http://mcp.example/mcp' } }), /htu/],
    ['for another endpoint', () => ({ claims: { htu: `${stack.origin}/target/mcp` } }), /htu/],
    ['for the front page', () => ({ claims: { htu: stack.origin } }), /htu/],
    ['for a URL with a user', () => ({ claims: { htu: stack.url.replace('//', '//a@') } }), /htu/],
    ['for two slashes', () => ({ claims: { htu: `${stack.url}//` } }), /htu/],
    ['for no URL', () => ({ claims: { htu: 7 } }), /htu/],
    ['without htu', () => ({ claims: { htu: undefined } }), /htu/],
    ['from the future', () => ({ claims: { iat: Date.now() / 1000 + 30 } }), /future/],
    ['that is old', () => ({ claims: { iat: Date.now() / 1000 - 120 } }), /older/],
    ['without iat', () => ({ claims: { iat: undefined } }), /no time/],
    ['with iat as text', () => ({ claims: { iat: '1' } }), /no time/],
    ['that has ended', () => ({ claims: { exp: Date.now() / 1000 - 30 } }), /not valid now/],
    ['without ath', () => ({ claims: { ath: undefined } }), /ath/],
    ['for another token', () => ({ claims: { ath: ath(unbound) } }), /another access token/],
    ['without jti', () => ({ claims: { jti: undefined } }), /no id/],
    ['with an empty jti', () => ({ claims: { jti: '' } }), /no id/],
    ['with jti as number', () => ({ claims: { jti: 7 } }), /no id/],
    ['of another type', () => ({ header: { typ: 'JWT' } }), /typ/],
    ['without a key', () => ({ header: { jwk: undefined } }), /no key/],
    ['with a private key', () => ({ header: { jwk: mine.privateJwk } }), /not a public one/],
    ['with a secret', () => ({ header: { jwk: { kty: 'oct', k: 'a' } } }), /not a public one/],
    ['with a huge header', () => ({ header: { more: 'x'.repeat(9_000) } }), /too long/],
  ])('is refused with a proof %s', async (_title, changes, why) => {
    const { status, challenge } = await withProof(await prove(changes()))
    expect(status).toBe(401)
    expect(challenge).toMatch(
      /^Bearer resource_metadata="[^"]+"(, scope="[^"]+")?, DPoP error="invalid_dpop_proof"/,
    )
    expect(challenge).toMatch(why)
  })

  it('is refused with a proof of another key, with none, and with one that is not signed by its key', async () => {
    const request = { token: bound, url: stack.url }
    const other = await withProof(await theirs.prove(request))
    expect(other.status).toBe(401)
    expect(other.challenge).toContain('DPoP error="invalid_token"')
    expect(other.challenge).toContain('another key')
    const forged = await theirs.prove(request, { header: { jwk: mine.jwk } })
    expect((await withProof(forged)).challenge).toContain('its signature is wrong')
    const without = await ask([['authorization', `DPoP ${bound}`]])
    expect(without).toMatchObject({ status: 401 })
    expect(without.challenge).toContain('error="invalid_dpop_proof"')
    expect(without.challenge).toContain('has no DPoP proof')
  })

  it('is refused with proofs that nobody signed, or with a shared secret', async () => {
    const claims = {
      ...{ htm: 'POST', htu: stack.url, jti: randomUUID(), ath: ath(bound) },
      iat: Math.floor(Date.now() / 1000),
    }
    const header = { typ: 'dpop+jwt', jwk: mine.jwk }
    const shared = new TextEncoder().encode(JSON.stringify(mine.jwk))
    for (const proof of [
      unsignedProof({ ...header, alg: 'none' }, claims),
      unsignedProof({ ...header, alg: 'none' }, claims, ''),
      unsignedProof({ ...header, alg: 'ES256' }, claims),
      unsignedProof({ ...header, alg: 'RS256' }, claims),
      unsignedProof({ ...header, alg: ['ES256'] }, claims),
      unsignedProof({ ...header, alg: 'ES256', crit: ['b64'], b64: false }, claims),
      unsignedProof([], claims),
      await new SignJWT(claims).setProtectedHeader({ ...header, alg: 'HS256' }).sign(shared),
      'x.y.z',
      '',
    ]) {
      const { status, challenge } = await withProof(proof)
      expect([proof, status]).toEqual([proof, 401])
      expect(challenge).toContain('error="invalid_dpop_proof"')
    }
  })

  it('is refused with two proofs, in two headers or joined, and with two tokens', async () => {
    const [one, other] = [await prove(), await prove()]
    const authorization: [string, string] = ['authorization', `DPoP ${bound}`]
    const twice = await ask([authorization, ['DPoP', one], ['dpop', other]])
    expect(twice.challenge).toContain('more than one DPoP header')
    for (const joined of [`${one}, ${other}`, `${one},${other}`, `${one} ${other}`]) {
      expect(await withProof(joined)).toMatchObject({ status: 401 })
    }
    const tokens = await ask([authorization, ['authorization', `Bearer ${unbound}`], ['dpop', one]])
    expect(tokens.status).toBe(401)
    // none of these used them up
    expect((await withProof(one)).status).toBe(200)
  })

  it('tells proofs apart by ids of any characters, and remembers them', async () => {
    for (const jti of ['é', 'e\u0301', '😀', '\u0000', '__proto__', ' ', 'x'.repeat(4_000)]) {
      const proof = await prove({ claims: { jti } })
      expect([jti, (await withProof(proof)).status]).toEqual([jti, 200])
      const other = await prove({ claims: { jti, iat: Math.floor(Date.now() / 1000) - 2 } })
      expect([jti, (await withProof(other)).status]).toEqual([jti, 401])
    }
    const key = await createProofKey()
    const token = await stack.token({ cnf: { jkt: key.jkt } })
    const proof = await key.prove({ token, url: stack.url }, { claims: { jti: 'é' } })
    expect((await withProof(proof, token)).status).toBe(200)
  })

  it.each([
    ['of mutual TLS', { 'x5t#S256': 'a' }],
    ['of both kinds', { jkt: 'A'.repeat(43), 'x5t#S256': 'a' }],
    ['of no kind', {}],
    ['that is no thumbprint', { jkt: 'short' }],
    ['that is a text', 'jkt'],
  ])('is refused with a binding %s', async (_title, cnf) => {
    const token = await stack.token({ cnf })
    const { status, challenge } = await withProof(
      await mine.prove({ token, url: stack.url }),
      token,
    )
    expect(status).toBe(401)
    expect(challenge).toContain('error="invalid_token"')
  })
})

describe('the official SDKs', () => {
  it('prove possession with 2.x: a tool is called over a connection that was opened so', async () => {
    const session = await sdk.DpopSession.create()
    const token = await stack.token({ cnf: { jkt: session.thumbprint } })
    const transport = new sdk.StreamableHTTPClientTransport(new URL(stack.url), {
      fetch: sdk.withDpop(session, () => token)(fetch),
    })
    const client = new sdk.Client({ name: 'sdk', version: '2.0.0' })
    await client.connect(transport)
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toContain('target_echo')
    expect(await client.callTool({ name: 'target_echo', arguments: {} })).toHaveProperty('content')
    await client.close()
  })

  it.each([
    ['1.x', extractWWWAuthenticateParams],
    ['2.x', sdk.extractWWWAuthenticateParams],
  ])('read the challenge of both schemes: %s', async (_title, read) => {
    const answer = await fetch(stack.url, { method: 'POST' })
    const { resourceMetadataUrl } = read(answer)
    expect(resourceMetadataUrl?.href).toMatch(/\/\.well-known\/oauth-protected-resource\/mcp$/)
    const refused = await fetch(stack.url, {
      method: 'POST',
      headers: { authorization: `DPoP ${bound}` },
    })
    expect(read(refused)).toMatchObject({ resourceMetadataUrl })
  })
})

describe('a token that is not bound', () => {
  it('is taken as Bearer, whatever proof is beside it, and not with the scheme DPoP', async () => {
    const bearer: [string, string] = ['authorization', `Bearer ${unbound}`]
    expect((await ask([bearer])).status).toBe(200)
    expect((await ask([bearer, ['dpop', 'x']])).status).toBe(200)
    const proof = await mine.prove({ token: unbound, url: stack.url })
    const asDpop = await withProof(proof, unbound)
    expect(asDpop.status).toBe(401)
    expect(asDpop.challenge).toContain('DPoP error="invalid_token"')
    expect(asDpop.challenge).toContain('not bound to a key')
  })
})

describe('an endpoint of a target', () => {
  it('takes proofs for its own URL only, and each of them once', async () => {
    const url = `${stack.origin}/target/mcp`
    const resource = new URL('/target/mcp', stack.server.resource).href
    const token = await identity.mint({ aud: [resource], cnf: { jkt: mine.jkt } })
    const call = (proof: string) => withProof(proof, token, 'DPoP', url)
    expect((await call(await mine.prove({ token, url: stack.url }))).status).toBe(401)
    const proof = await mine.prove({ token, url: resource })
    expect((await call(proof)).status).toBe(200)
    expect((await call(proof)).status).toBe(401)
  })

  it('hides its target from who is not admitted, after one use of the proof', async () => {
    const proxied = await startStack({
      targets: { target: { url: target.url, access: { roles: ['admin'] } } },
      identity,
      config: { descope: { dpop: 'accept' }, server: { endpoints: 'each' } },
    })
    const url = `${proxied.origin}/target/mcp`
    const resource = new URL(url).href.replace('127.0.0.1', 'localhost')
    const claims = { aud: [resource], cnf: { jkt: mine.jkt } }
    for (const [roles, status] of [
      [['admin'], 200],
      [['guest'], 404],
    ] as const) {
      const token = await identity.mint({ ...claims, roles: [...roles] })
      const proof = await mine.prove({ token, url: resource })
      expect((await withProof(proof, token, 'DPoP', url)).status).toBe(status)
      expect((await withProof(proof, token, 'DPoP', url)).status).toBe(401)
    }
    await proxied.close()
  })
})

describe('what is told of proofs', () => {
  it('names algorithms in metadata and challenge, for Bearer first', async () => {
    const where = `${stack.origin}/.well-known/oauth-protected-resource/mcp`
    const document = (await (await fetch(where)).json()) as Record<string, unknown>
    const algorithms = document['dpop_signing_alg_values_supported'] as string[]
    expect(algorithms).toContain('ES256')
    expect(algorithms.some((alg) => /none|HS/.test(alg))).toBe(false)
    expect(document).not.toHaveProperty('dpop_bound_access_tokens_required')
    const { status, challenge } = await ask([])
    expect(status).toBe(401)
    expect(challenge).toMatch(
      /^Bearer resource_metadata="[^"]+".*, DPoP algs="[^"]+", resource_metadata=/,
    )
  })

  it('lets pages of other origins send a proof', async () => {
    const headers = {
      origin: 'http://localhost:3000',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization, dpop',
    }
    const answer = await fetch(stack.url, { method: 'OPTIONS', headers })
    expect(answer.headers.get('access-control-allow-headers')?.split(', ')).toContain('dpop')
  })

  it('logs why a proof was refused, and neither proof nor token', async () => {
    const config = { descope: { dpop: 'require' } } as const
    const fresh = await startStack({ targets: { target: target.url }, identity, config })
    const token = await fresh.token({ cnf: { jkt: mine.jkt } })
    const htu = 'https://mcp.example/mcp?secret=1'
    const proof = await mine.prove({ token, url: fresh.url }, { claims: { htu } })
    await withProof(proof, token, 'DPoP', fresh.url)
    const isRefusal = ({ event }: { event?: unknown }) => event === 'token_refused'
    await expect
      .poll(() => fresh.logs().find(isRefusal))
      .toMatchObject({ reason: 'proof_invalid', receivedUrl: '"https://mcp.example/mcp"' })
    const text = fresh.logText()
    for (const secret of [...proof.split('.'), token]) expect(text).not.toContain(secret)
    await fresh.close()
  })
})

describe('a server that requires proofs', () => {
  it('takes no Bearer token, also as createProxy, and says so in the first challenge', async () => {
    const server = createServer((request, response) => proxy(request, response))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const proxy = createProxy({
      descope: { configUrl: identity.configUrl, dpop: 'require' },
      server: { publicUrl: 'https://mcp.example', allowedHosts: [`127.0.0.1:${port}`] },
      targets: { target: { url: target.url } },
    })
    await proxy.ready
    const url = `http://127.0.0.1:${port}/mcp`
    const resource = 'https://mcp.example/mcp'
    const token = await identity.mint({ aud: [resource], cnf: { jkt: mine.jkt } })
    const plain = await identity.mint({ aud: [resource] })

    const nobody = await ask([], { url })
    expect(nobody.challenge).toMatch(/^DPoP algs="[^"]+", resource_metadata="[^"]+"/)
    expect(nobody.challenge).not.toContain('Bearer')
    const bearer = await ask([['authorization', `Bearer ${plain}`]], { url })
    expect(bearer.status).toBe(401)
    expect(bearer.challenge).toMatch(/^DPoP error="invalid_token".*must be 'DPoP <access token>'/)
    expect((await ask([['authorization', `Bearer ${token}`]], { url })).status).toBe(401)

    const proof = await mine.prove({ token, url: resource })
    expect((await withProof(proof, token, 'DPoP', url)).status).toBe(200)
    expect((await withProof(proof, token, 'DPoP', url)).status).toBe(401)
    const inside = await mine.prove({ token, url })
    expect((await withProof(inside, token, 'DPoP', url)).status).toBe(401)

    const nowhere = `http://127.0.0.1:${port}/nowhere`
    const lost = await mine.prove({ token, url: 'https://mcp.example/nowhere' })
    expect((await withProof(lost, token, 'DPoP', nowhere)).status).toBe(404)
    const unknown = await ask([], { url: nowhere })
    expect(unknown).toMatchObject({ status: 401 })
    expect(unknown.challenge).toMatch(/^DPoP /)

    const where = `http://127.0.0.1:${port}/.well-known/oauth-protected-resource/mcp`
    expect(await (await fetch(where)).json()).toMatchObject({
      dpop_bound_access_tokens_required: true,
    })
    await proxy.close()
    server.close()
  })
})

describe('several workers', () => {
  it('take a proof once among them all', async () => {
    const cli = startCli(['serve', '--port', '0', '--workers', '2', '--log-format', 'json'], {
      env: {
        SESSION_SECRET: 'a-session-secret-of-more-than-32-bytes',
        MCP_DESCOPE_DESCOPE_DPOP: 'require',
        DESCOPE_CONFIG_URL: identity.configUrl,
        TARGET_MCP_SERVER_URL: target.url,
      },
      cwd: createFolder({}),
    })
    const [, url = ''] = await cli.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
    const token = await identity.mint({ aud: [url], cnf: { jkt: mine.jkt } })
    for (let round = 0; round < 3; round++) {
      const proof = await mine.prove({ token, url })
      // each connection comes to the next worker
      const answers = []
      for (let i = 0; i < 4; i++) answers.push((await withProof(proof, token, 'DPoP', url)).status)
      expect(answers).toEqual([200, 401, 401, 401])
    }
    cli.child.kill('SIGTERM')
    expect((await cli.ended).status).toBe(0)
  })
})

function ath(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}
