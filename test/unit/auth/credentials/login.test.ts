import { describe, expect, it } from 'vitest'
import { loginCredential } from '../../../../src/auth/credentials/login.js'
import { saysTokenInvalid } from '../../../../src/auth/oauth/parse-challenge.js'
import type { TokenSource } from '../../../../src/auth/tokens/token-source.js'

const INVALID = 'Bearer realm="x", error="invalid_token", error_description="expired"'

describe('a refusal', () => {
  it.each([
    [401, undefined, true],
    [401, 'Basic realm="x"', true],
    [403, INVALID, true],
    [403, `Basic realm="x", ${INVALID}`, true],
    [403, 'bearer ERROR=invalid_token', true],
    [403, undefined, false],
    [403, 'Bearer error="insufficient_scope"', false],
    [403, 'Bearer error="access_denied"', false],
    [403, 'Basic error="invalid_token"', false],
    [407, INVALID, false],
  ])('%i with %j is about the token: %s', (status, challenge, expected) => {
    expect(saysTokenInvalid(status, challenge)).toBe(expected)
  })

  it.each([
    [{ status: 401, challenge: undefined } as const, true, 1],
    [{ status: 403, challenge: INVALID } as const, true, 1],
    [{ status: 403, challenge: undefined } as const, false, 0],
  ])('%j of a signed-in token is worth another try: %s', async (refusal, expected, asked) => {
    let refusals = 0
    const source: TokenSource = {
      get: async () => 'token',
      refused: async () => {
        refusals += 1
        return { next: 'retry' }
      },
    }
    const credential = loginCredential({ source, target: 'main' })
    const caller = { principal: undefined, accessToken: undefined }
    await credential.headers(caller)
    expect(await credential.refused(caller, refusal)).toBe(expected)
    expect(refusals).toBe(asked)
  })
})
