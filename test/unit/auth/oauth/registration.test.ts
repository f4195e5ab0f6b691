import { describe, expect, it } from 'vitest'
import { chooseAuthMethod } from '../../../../src/auth/oauth/client.js'
import { configuredClient, readRegistration } from '../../../../src/auth/oauth/registration.js'
import { clientCredentialsGrant } from '../../../../src/auth/oauth/token-endpoint.js'
import { createManualClock } from '../../../helpers/runtime.js'

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
