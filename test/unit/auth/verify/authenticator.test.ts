import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../../src/auth/principal.js'
import { createAuthenticator } from '../../../../src/auth/verify/authenticator.js'
import { TokenError } from '../../../../src/auth/verify/token-error.js'
import { createTestClock, START } from '../support.js'

const principal = (subject: string, lifetime = 600): Principal => ({
  issuer: 'https://api.descope.com',
  subject,
  clientId: undefined,
  scopes: new Set(),
  tenant: undefined,
  roles: [],
  permissions: [],
  expiresAt: START / 1000 + lifetime,
})

function setUp(options = {}, verify = async (token: string) => principal(token)) {
  const clock = createTestClock()
  const verified: string[] = []
  const counting = {
    verify(token: string) {
      verified.push(token)
      return verify(token)
    },
  }
  return { ...createAuthenticator(counting, clock, options), clock, verified }
}

describe('an authenticator', () => {
  it('answers at once, with the same object, when the token was verified before', async () => {
    const { authenticate, verified } = setUp()
    const first = await authenticate('a')
    expect(authenticate('a')).toBe(first)
    expect(verified).toEqual(['a'])
  })

  it('verifies a token once for all who wait', async () => {
    const { authenticate, verified } = setUp()
    const [one, two] = await Promise.all([authenticate('a'), authenticate('a'), authenticate('b')])
    expect(one).toBe(two)
    expect(verified).toEqual(['a', 'b'])
  })

  it('trusts a token for 60 s', async () => {
    const { authenticate, clock, verified } = setUp()
    await authenticate('a')
    clock.advance(59_999)
    expect(authenticate('a')).not.toBeInstanceOf(Promise)
    clock.advance(1)
    await authenticate('a')
    expect(verified).toEqual(['a', 'a'])
  })

  it('trusts no token beyond its expiry', async () => {
    const { authenticate, clock, verified } = setUp({}, async (token) => principal(token, 10))
    await authenticate('a')
    clock.advance(9_999)
    expect(authenticate('a')).not.toBeInstanceOf(Promise)
    clock.advance(1)
    await authenticate('a')
    expect(verified).toHaveLength(2)
  })

  it('forgets the least recently used token first', async () => {
    const { authenticate, verified } = setUp({ maxEntries: 2 })
    await authenticate('a')
    await authenticate('b')
    authenticate('a')
    await authenticate('c')
    expect(authenticate('a')).not.toBeInstanceOf(Promise)
    expect(authenticate('c')).not.toBeInstanceOf(Promise)
    await authenticate('b')
    expect(verified).toEqual(['a', 'b', 'c', 'b'])
  })

  it('does not keep refusals', async () => {
    let refuse = true
    const { authenticate } = setUp({}, async (token) => {
      if (refuse) throw new TokenError('bad_signature', 'Wrong')
      return principal(token)
    })
    await expect(authenticate('a')).rejects.toMatchObject({ reason: 'bad_signature' })
    refuse = false
    await expect(authenticate('a')).resolves.toMatchObject({ subject: 'a' })
  })

  it.each([
    { name: 'an error', thrown: new TypeError('x is undefined') },
    { name: 'a string', thrown: 'oops' },
    { name: 'nothing', thrown: undefined },
  ])('makes a refusal of $name that the verifier throws', async ({ thrown }) => {
    const { authenticate } = setUp({}, () => Promise.reject(thrown))
    const error = await Promise.resolve(authenticate('a')).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(TokenError)
    expect(error).toMatchObject({
      reason: 'internal',
      status: 503,
      message: 'The access token could not be checked',
      cause: thrown,
    })
  })

  it('makes a refusal of a verifier that throws at once', async () => {
    const { authenticate } = setUp({}, () => {
      throw new Error('sync')
    })
    await expect(authenticate('a')).rejects.toMatchObject({ reason: 'internal' })
  })

  it('does not remember tokens that are too long', async () => {
    const { authenticate, verified } = setUp()
    const long = 'x'.repeat(16_385)
    await Promise.all([authenticate(long), authenticate(`${long}y`)])
    await authenticate(long)
    expect(verified).toHaveLength(3)
  })
})
