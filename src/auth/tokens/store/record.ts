import {
  isObject,
  type JsonObject,
  ownMember,
  stringMember,
  stringsMember,
} from '../../../util/json.js'
import type { OAuthClient } from '../../oauth/client.js'
import type { AuthorizationServer } from '../../oauth/server-metadata.js'
import type { TokenBinding, TokenRecord } from '../token-store.js'

/** Narrows a parsed record; `undefined` when something that is needed is missing. */
export function parseRecord(value: unknown): TokenRecord | undefined {
  if (!isObject(value)) return undefined
  const binding = parseBinding(value['binding'])
  const client = parseClient(value['client'])
  const issuer = stringMember(value, 'issuer')
  const accessToken = stringMember(value, 'accessToken')
  const receivedAt = numberMember(value, 'receivedAt')
  if (client === undefined || issuer === undefined || accessToken === undefined) return undefined
  if (binding === undefined || receivedAt === undefined) return undefined
  return {
    binding,
    target: stringMember(value, 'target') ?? binding.url,
    issuer,
    metadataUrl: stringMember(value, 'metadataUrl'),
    resource: stringMember(value, 'resource'),
    client,
    accessToken,
    refreshToken: stringMember(value, 'refreshToken'),
    requestedScope: stringMember(value, 'requestedScope'),
    scope: stringMember(value, 'scope'),
    receivedAt,
    expiresAt: numberMember(value, 'expiresAt'),
    refused: value['refused'] === true ? true : undefined,
  }
}

/** Narrows a parsed binding; `undefined` when it is none. */
export function parseBinding(value: unknown): TokenBinding | undefined {
  if (!isObject(value)) return undefined
  const profile = stringMember(value, 'profile')
  const url = stringMember(value, 'url')
  if (profile === undefined || url === undefined) return undefined
  const [issuer, clientId] = [stringMember(value, 'issuer'), stringMember(value, 'clientId')]
  return { profile, url, issuer, clientId }
}

/** Narrows a parsed client; `undefined` when it is none. */
export function parseClient(value: unknown): OAuthClient | undefined {
  if (!isObject(value)) return undefined
  const id = stringMember(value, 'id')
  const authMethod = stringMember(value, 'authMethod')
  const source = stringMember(value, 'source')
  if (id === undefined) return undefined
  return {
    id,
    secret: stringMember(value, 'secret'),
    authMethod:
      authMethod === 'client_secret_basic' || authMethod === 'client_secret_post'
        ? authMethod
        : 'none',
    source: source === 'static' || source === 'document' ? source : 'dynamic',
    redirectUris: stringsMember(value, 'redirectUris'),
  }
}

/** Narrows parsed metadata that was kept; `undefined` when something that is needed is missing. */
export function parseServer(value: unknown): AuthorizationServer | undefined {
  if (!isObject(value)) return undefined
  const issuer = stringMember(value, 'issuer')
  const authorizationEndpoint = stringMember(value, 'authorizationEndpoint')
  const tokenEndpoint = stringMember(value, 'tokenEndpoint')
  if (issuer === undefined || authorizationEndpoint === undefined || tokenEndpoint === undefined) {
    return undefined
  }
  return {
    issuer,
    metadataUrl: stringMember(value, 'metadataUrl'),
    authorizationEndpoint,
    tokenEndpoint,
    registrationEndpoint: stringMember(value, 'registrationEndpoint'),
    revocationEndpoint: stringMember(value, 'revocationEndpoint'),
    deviceAuthorizationEndpoint: stringMember(value, 'deviceAuthorizationEndpoint'),
    userinfoEndpoint: stringMember(value, 'userinfoEndpoint'),
    scopesSupported: stringsMember(value, 'scopesSupported'),
    grantTypes: stringsMember(value, 'grantTypes'),
    tokenAuthMethods: stringsMember(value, 'tokenAuthMethods'),
    clientIdMetadataDocuments: value['clientIdMetadataDocuments'] === true,
    issInResponses: value['issInResponses'] === true,
  }
}

/** Returns the member when it is a number, else `undefined`. */
export function numberMember(object: JsonObject, member: string): number | undefined {
  const value = ownMember(object, member)
  return typeof value === 'number' ? value : undefined
}
