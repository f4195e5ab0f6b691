import { describe, expect, it } from 'vitest'
import {
  authorizationUrl,
  checkResponseIssuer,
  readResponseError,
  stateMatches,
} from '../../../../src/auth/oauth/authorization.js'

describe('checkResponseIssuer', () => {
  const issuer = 'https://as.example'
  it.each([
    { issInResponses: true, iss: issuer, ok: true },
    { issInResponses: true, iss: undefined, ok: false },
    { issInResponses: false, iss: issuer, ok: true },
    { issInResponses: false, iss: undefined, ok: true },
    { issInResponses: false, iss: 'https://evil.example', ok: false },
    { issInResponses: true, iss: `${issuer}/`, ok: false },
    { issInResponses: true, iss: 'https://AS.example', ok: false },
  ])(
    '[rfc9207-2.4] decides $ok for iss=$iss when announced=$issInResponses',
    ({ issInResponses, iss, ok }) => {
      const response = new URLSearchParams({ code: 'c', ...(iss !== undefined && { iss }) })
      const check = () => checkResponseIssuer({ issuer, issInResponses }, response)
      if (ok) expect(check).not.toThrow()
      else expect(check).toThrow('does not come from https://as.example')
    },
  )

  it('[rfc9207-2.4] shows nothing of the description when the issuer is wrong', () => {
    const response = new URLSearchParams({ error: 'x', error_description: 'call 555', iss: 'e' })
    const check = () => checkResponseIssuer({ issuer, issInResponses: false }, response)
    expect(check).not.toThrow(/555/)
    expect(check).toThrow()
  })
})

describe('readResponseError', () => {
  it('refuses a response without exactly one code', () => {
    expect(() => readResponseError(new URLSearchParams())).toThrow('no code')
    expect(() => readResponseError(new URLSearchParams('code=a&code=b'))).toThrow('no code')
    expect(readResponseError(new URLSearchParams('code=a'))).toBeUndefined()
  })
})

describe('stateMatches', () => {
  it('compares the whole value', () => {
    expect(stateMatches('abc', 'abc')).toBe(true)
    expect(stateMatches('abc', 'ab')).toBe(false)
    expect(stateMatches('abc', null)).toBe(false)
  })
})

describe('authorizationUrl', () => {
  it('asks for consent with offline_access, and encodes what Descope puts into client ids', () => {
    const url = new URL(
      authorizationUrl({
        server: { authorizationEndpoint: 'https://as.example/authorize?tenant=1' } as never,
        clientId: 'UDI+/=',
        redirectUri: 'http://127.0.0.1:28682/callback',
        scope: 'a offline_access',
        resource: undefined,
        state: 's',
        verifier: 'v',
      }),
    )
    expect(url.href).toContain('client_id=UDI%2B%2F%3D')
    expect(Object.fromEntries(url.searchParams)).toMatchObject({ tenant: '1', prompt: 'consent' })
    expect(url.searchParams.has('resource')).toBe(false)
  })
})
