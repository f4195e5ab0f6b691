import { createHmac } from 'node:crypto'
import { type CryptoKey, exportSPKI, generateKeyPair, importJWK, SignJWT } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { acceptsIssuer, parseConfigUrl } from '../../../../src/auth/descope/discovery.js'
import { TokenError } from '../../../../src/auth/verify/token-error.js'
import { createVerifier, type VerifierOptions } from '../../../../src/auth/verify/verify-token.js'
import type { JsonObject } from '../../../../src/util/json.js'
import {
  accessClaims,
  createSigningKey,
  OTHER_PROJECT,
  OTHER_SERVER,
  PROJECT,
  SERVER,
  type SigningKey,
  START,
  signToken,
} from '../support.js'

const BASE = 'https://api.descope.com'

const RESOURCE = 'https://proxy.example.com/mcp'

const NOW = START / 1000

let key: SigningKey

let stranger: SigningKey

beforeAll(async () => {
  key = await createSigningKey('key-1')
  stranger = await createSigningKey('key-1')
})

/** What the verifier asked the key store for. */
let asked: string[] = []

function verifier(options: Partial<VerifierOptions> = {}) {
  asked = []
  return createVerifier({
    clock: { now: () => START },
    keys: {
      async get(kid) {
        asked.push(kid)
        if (kid !== 'key-1') throw new TokenError('unknown_key', 'No such key')
        const { kty, n, e } = key.jwk as { kty: 'RSA'; n: string; e: string }
        return (await importJWK({ kty, n, e }, 'RS256')) as CryptoKey
      },
    },
    acceptsIssuer: acceptsIssuer(parseConfigUrl(`${BASE}/v1/apps/agentic/${PROJECT}/${SERVER}`)),
    resource: RESOURCE,
    ...options,
  })
}

const sign = (claims: JsonObject = {}, header: JsonObject = {}) =>
  signToken(key, accessClaims(BASE, claims), header)

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a good access token', () => {
  it('becomes a principal', async () => {
    const token = await sign({
      dct: 'T1',
      roles: ['Reader'],
      permissions: ['read'],
      tenants: { T1: { roles: ['Admin', 'Reader'], permissions: ['write'] }, T2: { roles: ['X'] } },
    })
    await expect(verifier().verify(token)).resolves.toEqual({
      issuer: `${BASE}/v1/apps/${PROJECT}`,
      subject: 'U2user',
      clientId: 'client',
      scopes: new Set(['mcp:use']),
      tenant: 'T1',
      roles: ['Reader', 'Admin'],
      permissions: ['read', 'write'],
      expiresAt: NOW + 600,
    })
  })

  it.each([
    { name: 'the agentic issuer', claims: { iss: `${BASE}/v1/apps/agentic/${PROJECT}/${SERVER}` } },
    { name: 'a tenant issuer', claims: { iss: `${BASE}/v1/apps/${PROJECT}/T2tenant` } },
    { name: 'one audience as a string', claims: { aud: RESOURCE } },
    { name: 'an audience with a trailing slash', claims: { aud: [`${RESOURCE}/`] } },
    { name: 'upper-case scheme and host', claims: { aud: 'HTTPS://Proxy.Example.COM/mcp' } },
    { name: 'a nonce beside scopes', claims: { nonce: 'n' } },
    { name: 'no iat', claims: { iat: undefined } },
    { name: 'an iat 5 s in the future', claims: { iat: NOW + 5 } },
    { name: 'an nbf 5 s in the future', claims: { nbf: NOW + 5 } },
    { name: 'an exp 4 s ago', claims: { exp: NOW - 4 } },
    { name: 'token_use access', claims: { token_use: 'access' } },
    { name: 'no drn', claims: { drn: undefined } },
    { name: 'typ at+jwt', header: { typ: 'at+jwt' } },
    { name: 'typ application/at+jwt', header: { typ: 'application/at+JWT' } },
    { name: 'no typ', header: { typ: undefined } },
  ])('is accepted with $name', async ({ claims = {}, header = {} }) => {
    const principal = await verifier().verify(await sign(claims, header))
    expect(principal.subject).toBe('U2user')
  })

  it('[mcp-authz-r8] is accepted when the resource ends in a slash and the audience does not', async () => {
    const { verify } = verifier({ resource: `${RESOURCE}/` })
    await expect(verify(await sign({ aud: RESOURCE }))).resolves.toBeDefined()
    await expect(verify(await sign({ aud: `${RESOURCE}//` }))).rejects.toMatchObject({
      reason: 'wrong_audience',
    })
  })

  it('is accepted for a configured audience, by its characters', async () => {
    const { verify } = verifier({ audience: [PROJECT] })
    await expect(verify(await sign({ aud: [PROJECT] }))).resolves.toBeDefined()
    await expect(verify(await sign({ aud: [`${PROJECT}/`] }))).rejects.toMatchObject({
      reason: 'wrong_audience',
    })
  })

  it.each([
    { claims: { scope: 'a  b' }, scopes: ['a', 'b'] },
    { claims: { scope: ['a', 'b', 1] }, scopes: ['a', 'b'] },
    { claims: { scope: undefined, scp: ['a'] }, scopes: ['a'] },
    { claims: { scope: undefined, scopes: 'a b' }, scopes: ['a', 'b'] },
    { claims: { scope: 'a', scp: ['admin'] }, scopes: ['a'] },
    { claims: { scope: undefined }, scopes: [] },
  ])('has the scopes $scopes from $claims', async ({ claims, scopes }) => {
    const principal = await verifier().verify(await sign(claims))
    expect([...principal.scopes]).toEqual(scopes)
  })

  it.each([
    { claims: { azp: 'a', client_id: 'c' }, clientId: 'a' },
    { claims: { azp: undefined, client_id: 'c' }, clientId: 'c' },
    { claims: { azp: undefined }, clientId: undefined },
  ])('names the client $clientId', async ({ claims, clientId }) => {
    expect((await verifier().verify(await sign(claims))).clientId).toBe(clientId)
  })

  it('takes no roles from a tenant that is only inherited', async () => {
    const token = await sign({ dct: '__proto__', tenants: {}, roles: 'Admin' })
    expect((await verifier().verify(token)).roles).toEqual([])
  })
})

describe('a refused token', () => {
  const cases: {
    name: string
    reason: string
    claims?: JsonObject
    header?: JsonObject
    token?: () => string | Promise<string>
    asks?: boolean
  }[] = [
    { name: 'an empty token', reason: 'missing', token: () => '' },
    { name: 'an opaque token', reason: 'malformed', token: () => 'opaque' },
    { name: 'two parts', reason: 'malformed', token: () => 'e30.e30' },
    { name: 'five parts (JWE)', reason: 'malformed', token: () => 'e30.e30.e30.e30.e30' },
    { name: 'padding', reason: 'malformed', token: async () => `${await sign()}==` },
    { name: 'a line break', reason: 'malformed', token: async () => `${await sign()}\n` },
    { name: 'a header that is not JSON', reason: 'malformed', token: () => 'eA.e30.eA' },
    { name: 'a header that is an array', reason: 'malformed', token: () => 'W10.e30.eA' },
    {
      name: 'claims that are null',
      reason: 'malformed',
      token: () => `${encode({ alg: 'RS256', kid: 'key-1' })}.${encode(null)}.eA`,
    },
    { name: 'a token above 16 KB', reason: 'too_large', claims: { padding: 'x'.repeat(16_384) } },
    {
      name: 'alg none without a signature',
      reason: 'malformed',
      token: () => `${encode({ alg: 'none' })}.${encode(accessClaims(BASE))}.`,
    },
    {
      name: 'alg none with something for a signature',
      reason: 'wrong_algorithm',
      token: () => `${encode({ alg: 'none', kid: 'key-1' })}.${encode(accessClaims(BASE))}.eA`,
    },
    {
      name: 'alg NoNe',
      reason: 'wrong_algorithm',
      token: () => `${encode({ alg: 'NoNe', kid: 'key-1' })}.${encode(accessClaims(BASE))}.eA`,
    },
    {
      name: 'HS256 keyed with the public key',
      reason: 'wrong_algorithm',
      token: async () => {
        const { kty, n, e } = key.jwk as { kty: 'RSA'; n: string; e: string }
        const publicKey = (await importJWK({ kty, n, e }, 'RS256', {
          extractable: true,
        })) as CryptoKey
        const head = `${encode({ alg: 'HS256', kid: 'key-1' })}.${encode(accessClaims(BASE))}`
        const mac = createHmac('sha256', await exportSPKI(publicKey)).update(head)
        return `${head}.${mac.digest('base64url')}`
      },
    },
    {
      name: 'ES256',
      reason: 'wrong_algorithm',
      token: async () => {
        const { privateKey } = await generateKeyPair('ES256')
        return new SignJWT(accessClaims(BASE))
          .setProtectedHeader({ alg: 'ES256', kid: 'key-1' })
          .sign(privateKey)
      },
    },
    { name: 'no alg', reason: 'wrong_algorithm', token: () => `${encode({})}.${encode({})}.eA` },
    { name: 'crit', reason: 'critical_header', header: { crit: ['x'], x: 1 } },
    {
      name: 'crit with b64',
      reason: 'critical_header',
      token: () =>
        `${encode({ alg: 'RS256', kid: 'key-1', b64: false, crit: ['b64'] })}.${encode({})}.eA`,
    },
    { name: 'typ refresh+jwt', reason: 'wrong_type', header: { typ: 'refresh+jwt' } },
    { name: 'typ logout+jwt', reason: 'wrong_type', header: { typ: 'logout+jwt' } },
    { name: 'typ 1', reason: 'wrong_type', header: { typ: 1 } },
    { name: 'no exp', reason: 'no_expiry', claims: { exp: undefined } },
    { name: 'exp as text', reason: 'malformed', claims: { exp: '99999999999' } },
    { name: 'exp null', reason: 'malformed', claims: { exp: null } },
    { name: 'an exp 5 s ago', reason: 'expired', claims: { exp: NOW - 5 } },
    { name: 'an nbf 6 s ahead', reason: 'not_yet_valid', claims: { nbf: NOW + 6 } },
    { name: 'an iat 6 s ahead', reason: 'not_yet_valid', claims: { iat: NOW + 6 } },
    { name: 'nbf as text', reason: 'malformed', claims: { nbf: '0' } },
    { name: 'no iss', reason: 'wrong_issuer', claims: { iss: undefined } },
    {
      name: 'iss as an array',
      reason: 'wrong_issuer',
      claims: { iss: [`${BASE}/v1/apps/${PROJECT}`] },
    },
    {
      name: 'iss of another project',
      reason: 'wrong_issuer',
      claims: { iss: `${BASE}/v1/apps/${OTHER_PROJECT}` },
    },
    {
      name: 'iss of another host',
      reason: 'wrong_issuer',
      claims: { iss: `https://evil.example/v1/apps/${PROJECT}` },
    },
    {
      name: 'iss of another MCP server',
      reason: 'wrong_issuer',
      claims: { iss: `${BASE}/v1/apps/agentic/${PROJECT}/${OTHER_SERVER}` },
    },
    { name: 'iss that is the bare project', reason: 'wrong_issuer', claims: { iss: PROJECT } },
    { name: 'no aud', reason: 'wrong_audience', claims: { aud: undefined } },
    { name: 'an empty aud', reason: 'wrong_audience', claims: { aud: [] } },
    {
      name: 'aud of only client and project',
      reason: 'wrong_audience',
      claims: { aud: ['client', PROJECT] },
    },
    { name: 'aud of another path', reason: 'wrong_audience', claims: { aud: [`${RESOURCE}/x`] } },
    {
      name: 'aud of the origin',
      reason: 'wrong_audience',
      claims: { aud: ['https://proxy.example.com'] },
    },
    { name: 'aud with two slashes', reason: 'wrong_audience', claims: { aud: [`${RESOURCE}//`] } },
    {
      name: 'aud with an upper-case path',
      reason: 'wrong_audience',
      claims: { aud: ['https://proxy.example.com/MCP'] },
    },
    {
      name: 'aud with a port',
      reason: 'wrong_audience',
      claims: { aud: ['https://proxy.example.com:443/mcp'] },
    },
    { name: 'aud with a query', reason: 'wrong_audience', claims: { aud: [`${RESOURCE}?x`] } },
    {
      name: 'aud with http',
      reason: 'wrong_audience',
      claims: { aud: ['http://proxy.example.com/mcp'] },
    },
    { name: 'aud in an object', reason: 'wrong_audience', claims: { aud: { 0: RESOURCE } } },
    { name: 'aud nested', reason: 'wrong_audience', claims: { aud: [[RESOURCE]] } },
    { name: 'no sub', reason: 'malformed', claims: { sub: undefined } },
    { name: 'a numeric sub', reason: 'malformed', claims: { sub: 7 } },
    { name: 'a refresh token', reason: 'not_an_access_token', claims: { drn: 'DSR' } },
    { name: 'token_use refresh', reason: 'not_an_access_token', claims: { token_use: 'refresh' } },
    { name: 'token_use id', reason: 'not_an_access_token', claims: { token_use: 'id' } },
    { name: 'an id token with at_hash', reason: 'not_an_access_token', claims: { at_hash: 'h' } },
    {
      name: 'an id token with nonce',
      reason: 'not_an_access_token',
      claims: { nonce: 'n', scope: undefined },
    },
    ...[{ jkt: 'x'.repeat(43) }, { 'x5t#S256': 'x' }, {}, [], '', false, null].map((cnf) => ({
      name: `a key that it is bound to, cnf ${JSON.stringify(cnf)}`,
      reason: 'bound_to_key' as const,
      claims: { cnf },
    })),
    { name: 'no kid', reason: 'unknown_key', header: { kid: undefined } },
    { name: 'a numeric kid', reason: 'unknown_key', header: { kid: 1 } },
    { name: 'an unknown kid', reason: 'unknown_key', header: { kid: 'other' }, asks: true },
    {
      name: 'a kid with a path',
      reason: 'unknown_key',
      header: { kid: '../../key-1' },
      asks: true,
    },
    {
      name: 'a kid that is a URL',
      reason: 'unknown_key',
      header: { kid: 'https://evil.example/k' },
      asks: true,
    },
    {
      name: 'a kid of the prototype',
      reason: 'unknown_key',
      header: { kid: '__proto__' },
      asks: true,
    },
    {
      name: 'another key under a known kid',
      reason: 'bad_signature',
      token: () => signToken(stranger, accessClaims(BASE)),
      asks: true,
    },
    {
      name: 'changed claims',
      reason: 'bad_signature',
      token: async () => {
        const [head, , signature] = (await sign()).split('.')
        return `${head}.${encode(accessClaims(BASE, { sub: 'U2admin' }))}.${signature}`
      },
      asks: true,
    },
    {
      name: 'a signature that is no base64url',
      reason: 'malformed',
      token: async () => (await sign()).replace(/[^.]+$/, 'A'),
      asks: true,
    },
    {
      name: 'a signature cut short',
      reason: 'bad_signature',
      token: async () => (await sign()).slice(0, -8),
      asks: true,
    },
  ]
  // A key that the token itself names is never used: these are signed by that very key.
  for (const name of ['jwk', 'jku', 'x5u', 'x5c']) {
    cases.push({
      name: `its own key in "${name}"`,
      reason: 'bad_signature',
      token: () => {
        const value =
          name === 'jwk' ? stranger.jwk : name === 'x5c' ? ['MIIB'] : 'https://evil.example/keys'
        return signToken(stranger, accessClaims(BASE), { [name]: value })
      },
      asks: true,
    })
  }

  it.each(cases)('is $reason: $name', async ({ reason, claims, header, token, asks = false }) => {
    const text = token ? await token() : await sign(claims, header)
    const { verify } = verifier({ audience: [] })
    const error = await verify(text).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TokenError)
    expect(error).toMatchObject({ reason, status: 401 })
    // Only a token that could be ours makes us look for a key.
    expect(asked.length > 0).toBe(asks)
  })

  it.each(cases)('gives nothing of itself away: $name', async ({ claims, header, token }) => {
    const text = token ? await token() : await sign(claims, header)
    const error = (await verifier()
      .verify(text)
      .catch((thrown: unknown) => thrown)) as TokenError
    expect(error.message).toMatch(/^[A-Z][ -~]+[^.]$/)
    for (const part of text.split('.').filter((candidate) => candidate.length > 8)) {
      expect(`${error.message} ${JSON.stringify(error.details)}`).not.toContain(part)
    }
    expect(error.message).not.toContain('evil')
  })

  it('is insufficient_scope only when all else is right', async () => {
    const { verify } = verifier({ requiredScopes: ['mcp:use', 'tools:write'] })
    await expect(verify(await sign())).rejects.toMatchObject({
      reason: 'insufficient_scope',
      status: 403,
      scopes: ['mcp:use', 'tools:write'],
      message: 'The access token lacks the scope tools:write',
    })
    const forged = await signToken(stranger, accessClaims(BASE))
    await expect(verify(forged)).rejects.toMatchObject({ reason: 'bad_signature' })
    await expect(verify(await sign({ scope: 'tools:write mcp:use' }))).resolves.toBeDefined()
  })

  it('names the expected audience to the caller, and the received one only to the log', async () => {
    const token = await sign({ aud: ['https://else.example/\u001b[31m', 'x'.repeat(500)] })
    const error = (await verifier()
      .verify(token)
      .catch((thrown: unknown) => thrown)) as TokenError
    expect(error.message).toBe(`The access token is for another audience than ${RESOURCE}`)
    const received = String(error.details['receivedAudience'])
    expect(received).toMatch(/^\["https:\/\/else.example\/\\u001b\[31m","x+…$/)
    expect(received.length).toBeLessThanOrEqual(201)
  })

  it('is refused when the key store gives a key of another kind', async () => {
    const { publicKey } = await generateKeyPair('ES256')
    const keys = { get: async () => publicKey }
    await expect(verifier({ keys }).verify(await sign())).rejects.toThrow(TypeError)
  })

  it('passes on that keys are unavailable', async () => {
    const keys = {
      get: () => Promise.reject(new TokenError('keys_unavailable', 'The keys are not there')),
    }
    await expect(verifier({ keys }).verify(await sign())).rejects.toMatchObject({ status: 503 })
  })
})
