import { describe, expect, it } from 'vitest'
import {
  authorizationUrl,
  checkResponseIssuer,
  readResponseError,
  stateMatches,
} from '../../../../src/auth/oauth/authorization.js'
import { chooseAuthMethod } from '../../../../src/auth/oauth/client.js'
import {
  type OAuthRefusal,
  OAuthRefusedError,
  pauseAskedFor,
  RetryableError,
  readRefusal,
} from '../../../../src/auth/oauth/failure.js'
import { configuredClient, readRegistration } from '../../../../src/auth/oauth/registration.js'
import { chooseScope, missingScopes } from '../../../../src/auth/oauth/scopes.js'
import { clientCredentialsGrant, readGrant } from '../../../../src/auth/oauth/token-endpoint.js'
import { createManualClock } from '../../../helpers/runtime.js'

describe('chooseScope', () => {
  const none = { resource: [], server: [] }

  it.each([
    [{ ...none }, undefined],
    [{ ...none, challenged: 'a b' }, 'a b'],
    [{ ...none, challenged: '', resource: ['r'] }, 'r'],
    [{ ...none, resource: ['r', 'openid'] }, 'r'],
    [{ ...none, resource: ['openid'] }, undefined],
    [{ ...none, configured: 'mine', challenged: 'a', resource: ['r'] }, 'mine'],
    [{ ...none, challenged: 'c', previous: 'a b' }, 'a b c'],
    [{ ...none, challenged: 'a', previous: 'a' }, 'a'],
  ])('[mcp-client-scope] chooses from %j', (sources, expected) => {
    expect(chooseScope(sources)).toBe(expected)
  })

  it('[bridge-offline-access] adds offline_access only where the server lists it and a scope is sent', () => {
    const server = ['offline_access']
    expect(chooseScope({ challenged: 'a', resource: [], server })).toBe('a offline_access')
    expect(chooseScope({ resource: [], server })).toBeUndefined()
  })

  it('names the scopes that are missing', () => {
    expect(missingScopes('a b', 'b c')).toEqual(['a'])
    expect(missingScopes(undefined, undefined)).toEqual([])
  })
})

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

describe('readRefusal', () => {
  const read = (status: number, body: unknown, headers = {}) =>
    readRefusal(
      status,
      new Headers(headers),
      typeof body === 'string' ? body : JSON.stringify(body),
    )

  it.each([
    [400, { error: 'invalid_grant' }, 'grant'],
    [404, { errorCode: 'E063302', errorMessage: 'Cannot find consent by id' }, 'grant'],
    [401, { error: 'invalid_client' }, 'client'],
    [401, { errorCode: 'E074130', errorMessage: 'Invalid client id' }, 'client'],
    [400, { errorCode: 'E074130', errorMessage: 'Invalid scope' }, 'refused'],
    [400, { error: 'invalid_scope' }, 'refused'],
    [400, { error: 'temporarily_unavailable' }, 'transient'],
    [400, { error: 'slow_down' }, 'poll'],
    [429, { errorCode: 'E130429' }, 'transient'],
    [429, '', 'transient'],
    [500, { error: 'what' }, 'transient'],
    [503, '<html>busy</html>', 'transient'],
    [403, '<html>portal</html>', 'transient'],
    [200, { error: 'authorization_pending' }, 'poll'],
  ])('[bridge-refresh-trouble] takes status %i with %j for %s', (status, body, kind) => {
    expect(read(status, body)?.kind).toBe(kind)
  })

  it('is no refusal when there is no error', () => {
    expect(read(200, { access_token: 'x' })).toBeUndefined()
    expect(read(201, '')).toBeUndefined()
  })

  it.each([
    ['7', 7_000],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['999999999', 3_600_000],
    ['soon', 0],
  ])('says how long the server wants to be left alone: %s', (value, ms) => {
    const now = Date.UTC(2026, 0, 1)
    const refusal = read(429, '', { 'retry-after': value }) as OAuthRefusal
    expect(pauseAskedFor(new OAuthRefusedError('Asking', refusal), now)).toBe(ms)
    expect(pauseAskedFor(new RetryableError('busy', { retryAfter: value }), now)).toBe(ms)
    expect(pauseAskedFor(new Error('broken'), now)).toBe(0)
  })
})

describe('readGrant', () => {
  const read = (body: unknown, status = 200) =>
    readGrant(
      'Testing',
      new Response(typeof body === 'string' ? body : JSON.stringify(body), { status }),
    )

  it('takes a response without looking at an id token', async () => {
    const grant = await read({
      access_token: 'a',
      token_type: 'Bearer',
      expires_in: '60',
      id_token: 'not one',
    })
    expect(grant).toEqual({
      accessToken: 'a',
      refreshToken: undefined,
      scope: undefined,
      expiresIn: 60,
    })
  })

  it('is retryable when a portal answers with a page', async () => {
    await expect(read('<html>')).rejects.toMatchObject({ retryable: true })
  })

  it.each([{}, { access_token: 7 }, { access_token: 'a', token_type: 'dpop' }])(
    'refuses %j',
    async (body) => {
      await expect(read(body)).rejects.toMatchObject({ code: 'SIGN_IN_FAILED' })
    },
  )
})

describe('clients', () => {
  it.each([
    [[], undefined, 'none'],
    [[], 's', 'client_secret_basic'],
    [['client_secret_post'], 's', 'client_secret_post'],
    [['client_secret_basic', 'client_secret_post'], 's', 'client_secret_post'],
    [['client_secret_basic', 'none'], 's', 'client_secret_basic'],
    [['none'], 's', 'none'],
    [['client_secret_basic', 'private_key_jwt'], undefined, 'none'],
  ])('with %j and secret %j authenticate by %s', (supported, secret, expected) => {
    expect(chooseAuthMethod(supported, secret)).toBe(expected)
  })

  it.each([
    ['pre-registered_client.1', 's-e_c.r*t', 'pre-registered_client.1:s-e_c.r*t'],
    ['https://a.example/x', 's+e c:r%t&é', 'https%3A%2F%2Fa.example%2Fx:s%2Be+c%3Ar%25t%26%C3%A9'],
  ])('%s writes only what the form encoding says into the header', async (id, secret, pair) => {
    let header: string | null = null
    const fetch = async (_url: unknown, init?: RequestInit) => {
      header = new Headers(init?.headers).get('authorization')
      return Response.json({ access_token: 't', token_type: 'Bearer' })
    }
    const deps = { fetch: fetch as typeof globalThis.fetch, clock: createManualClock() }
    const server = { issuer: 'https://as.example', tokenEndpoint: 'https://as.example/token' }
    const client = { id, secret, authMethod: 'client_secret_basic', source: 'static' } as const
    await clientCredentialsGrant(deps, {
      server: server as never,
      client: { ...client, redirectUris: [] },
      resource: undefined,
      scope: undefined,
    })
    expect(header).toBe(`Basic ${btoa(pair)}`)
  })

  it('[mcp-client-id-order] come from the user first, then from a document where the server takes one', () => {
    const server = { tokenAuthMethods: [], clientIdMetadataDocuments: true }
    const metadataUrl = 'https://client.example/oauth.json'
    expect(configuredClient(server, { id: 'x', metadataUrl })?.source).toBe('static')
    expect(configuredClient(server, { metadataUrl })).toMatchObject({
      id: metadataUrl,
      source: 'document',
    })
    const without = { ...server, clientIdMetadataDocuments: false }
    expect(configuredClient(without, { metadataUrl })).toBeUndefined()
  })

  it('are read from an answer with status 200 as with 201, with the method that it states', () => {
    const body = JSON.stringify({
      client_id: 'a',
      client_secret: 's',
      client_secret_expires_at: 9,
      token_endpoint_auth_method: 'client_secret_post',
    })
    const server = { issuer: 'https://as', tokenAuthMethods: [] }
    const made = readRegistration({ status: 200, headers: new Headers(), body }, ['u'], server)
    expect(made).toMatchObject({
      client: { id: 'a', secret: 's', authMethod: 'client_secret_post', redirectUris: ['u'] },
      secretExpiresAt: 9,
    })
  })
})
