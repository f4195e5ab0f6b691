import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../../src/auth/principal.js'
import { createAuthenticator } from '../../../../src/auth/verify/authenticator.js'
import { challengeHeader } from '../../../../src/auth/verify/challenge-response.js'
import { createProofVerifier } from '../../../../src/auth/verify/dpop-proof.js'
import { createReplays } from '../../../../src/auth/verify/replays.js'
import { createProofKey } from '../../../helpers/dpop.js'
import { createTestClock } from '../support.js'

const url = 'https://mcp.example/mcp'

async function setUp(limits = {}) {
  const clock = createTestClock()
  const key = await createProofKey()
  const verify = createProofVerifier(clock, createReplays(clock, limits))
  const request = { method: 'POST', url, accessToken: 'token', keyThumbprint: key.jkt }
  const check = (proof: string) =>
    verify(proof, request).then(
      () => 'good',
      (error: { reason: string }) => error.reason,
    )
  const prove = (claims: Record<string, unknown> = {}) =>
    key.prove({ token: 'token', url, now: clock.now() }, { claims })
  return { clock, key, check, prove, verify, request }
}

describe('a DPoP proof', () => {
  it.each([
    [-66, 'proof_invalid'],
    [-64, 'good'],
    [0, 'good'],
    [4, 'good'],
    [6, 'proof_invalid'],
  ])('that is %i seconds from now is %s', async (seconds, verdict) => {
    const { clock, check, prove } = await setUp()
    expect(await check(await prove({ iat: clock.now() / 1000 + seconds }))).toBe(verdict)
  })

  it('is good once for as long as its time is good, and no longer', async () => {
    const { clock, check, prove } = await setUp()
    const proof = await prove({ iat: clock.now() / 1000 + 4 })
    expect(await check(proof)).toBe('good')
    for (let second = 0; second < 70; second++) {
      expect(await check(proof)).toBe('proof_replayed')
      clock.advance(1_000)
    }
    expect(await check(proof)).toBe('proof_invalid')
  })

  it('that is refused for its signature does not use up the id', async () => {
    const { check, prove } = await setUp()
    const proof = await prove()
    const [head, payload, signature = ''] = proof.split('.')
    const other = `${signature[0] === 'A' ? 'B' : 'A'}${signature.slice(1)}`
    expect(await check(`${head}.${payload}.${other}`)).toBe('proof_invalid')
    expect(await check(proof)).toBe('good')
  })

  it.each([
    ['https://MCP.example:443/mcp', 'good'],
    ['https://mcp.example/x/../mcp/?a#b', 'good'],
    ['http://mcp.example/mcp', 'proof_invalid'],
    ['https://mcp.example:8443/mcp', 'proof_invalid'],
    ['https://mcp.example.evil/mcp', 'proof_invalid'],
    ['https://mcp.example@evil.example/mcp', 'proof_invalid'],
    ['https:mcp.example/mcp', 'proof_invalid'],
    ['https:\\\\mcp.example\\mcp', 'proof_invalid'],
    ['https://mcp.example/mcp%2F', 'proof_invalid'],
    ['https://localhost/mcp', 'proof_invalid'],
    ['//mcp.example/mcp', 'proof_invalid'],
    ['', 'proof_invalid'],
  ])('for %s is %s', async (htu, verdict) => {
    const { check, prove } = await setUp()
    expect(await check(await prove({ htu }))).toBe(verdict)
  })

  it('with a key that would take long to check is refused before', async () => {
    const { clock, verify, request } = await setUp()
    const key = await createProofKey('RS256')
    const bound = { ...request, keyThumbprint: key.jkt }
    const proven = { token: 'token', url, now: clock.now() }
    await expect(verify(await key.prove(proven), bound)).resolves.toBeUndefined()
    for (const jwk of [
      { ...key.jwk, e: 'A'.repeat(600) },
      { ...key.jwk, n: 'A'.repeat(1_400) },
    ]) {
      const proof = await key.prove(proven, { header: { jwk } })
      await expect(verify(proof, bound)).rejects.toMatchObject({ reason: 'proof_invalid' })
    }
    const small = { kty: 'RSA', n: 'A'.repeat(100), e: 'AQAB' }
    const thumbprint = createHash('sha256')
      .update(JSON.stringify({ e: small.e, kty: small.kty, n: small.n }))
      .digest('base64url')
    const proof = await key.prove(proven, { header: { jwk: small } })
    await expect(verify(proof, { ...request, keyThumbprint: thumbprint })).rejects.toMatchObject({
      reason: 'proof_invalid',
    })
  })

  it('is refused, and none forgotten, when too many are remembered', async () => {
    const { clock, check, prove } = await setUp({ maxPerKey: 2 })
    const first = await prove()
    expect([await check(first), await check(await prove())]).toEqual(['good', 'good'])
    expect(await check(await prove())).toBe('proofs_full')
    expect(await check(first)).toBe('proof_replayed')
    clock.advance(150_000)
    expect(await check(await prove())).toBe('good')
  })
})

describe('the memory of used proofs', () => {
  it('has room for all keys together, and for each', () => {
    const replays = createReplays(createTestClock(), { maxIds: 3, maxPerKey: 2 })
    expect(['1', '2', '3'].map((id) => replays.use('a', id))).toEqual(['first', 'first', 'full'])
    expect(['1', '2'].map((id) => replays.use('b', id))).toEqual(['first', 'full'])
    expect(replays.use('a', '1')).toBe('again')
  })

  it('remembers through a clock that is set back', () => {
    let now = 1_000_000
    const replays = createReplays({ now: () => now })
    expect(replays.use('a', '1')).toBe('first')
    for (const time of [0, 70_000, 0, 70_000]) {
      now = time
      expect(replays.use('a', '1')).toBe('again')
    }
  })
})

describe('a token that was verified', () => {
  const principal = (keyThumbprint?: string): Principal => ({
    ...{ issuer: 'i', subject: 's', clientId: undefined, scopes: new Set(), tenant: undefined },
    ...{ roles: [], permissions: [], expiresAt: Number.MAX_SAFE_INTEGER },
    ...(keyThumbprint && { keyThumbprint }),
  })
  const verifier = { verify: async (token: string) => principal(token === 'bound' ? 'k' : '') }

  it('is judged by its scheme each time, whichever came first', async () => {
    for (const order of [
      ['bearer', 'dpop'],
      ['dpop', 'bearer'],
    ]) {
      const { authenticate, authenticateBound } = createAuthenticator(verifier, createTestClock())
      for (const scheme of [...order, ...order]) {
        if (scheme === 'dpop') {
          expect(await authenticateBound('bound')).toMatchObject({ keyThumbprint: 'k' })
          await expect(authenticateBound('plain')).rejects.toMatchObject({ reason: 'not_bound' })
        } else {
          const refused = Promise.resolve(authenticate('bound'))
          await expect(refused).rejects.toMatchObject({ reason: 'bound_to_key' })
          expect(await authenticate('plain')).toMatchObject({ subject: 's' })
        }
      }
    }
  })
})

describe('a challenge for two schemes', () => {
  const resourceMetadata = 'https://mcp.example/.well-known/oauth-protected-resource/mcp'
  const header = (more: object) =>
    challengeHeader({ resourceMetadata, scopes: ['a'], dpop: 'accept', ...more })
  const bearer = `Bearer resource_metadata="${resourceMetadata}", scope="a"`

  it('has Bearer first, and the error at the scheme that was used', () => {
    expect(header({})).toMatch(new RegExp(`^${bearer.replaceAll('.', '\\.')}, DPoP algs="ES256 `))
    const wrong = header({ error: 'invalid_dpop_proof', description: 'Why', scheme: 'DPoP' })
    expect(wrong).toMatch(
      /^Bearer resource_metadata=.*, DPoP error="invalid_dpop_proof", error_description="Why", algs=/,
    )
    const expired = header({ error: 'invalid_token', description: 'Why' })
    expect(expired).toMatch(
      /^Bearer error="invalid_token", error_description="Why", .*, DPoP algs=/,
    )
    expect(header({ dpop: 'require' })).toMatch(/^DPoP algs=/)
    expect(header({ dpop: 'off', scheme: 'DPoP' })).toBe(bearer)
  })

  it('names scopes for the one that lacks them, and many of them once', () => {
    const missing = header({ error: 'insufficient_scope', scheme: 'DPoP' })
    expect(missing).toMatch(/^DPoP error="insufficient_scope".*scope="a"$/)
    const many = Array.from({ length: 300 }, (_, n) => `scope:${n}`)
    expect(header({ scopes: many }).split('scope="')).toHaveLength(2)
  })
})
