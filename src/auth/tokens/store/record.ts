import {
  isObject,
  type JsonObject,
  ownMember,
  stringMember,
  stringsMember,
} from '../../../util/json.js'
import { isAuthMethod, type OAuthClient } from '../../oauth/client.js'
import type { AuthorizationServer } from '../../oauth/server-metadata.js'
import type { TokenBinding, TokenRecord } from '../token-store.js'

const RECORD_TEXTS = [
  'issuer',
  'accessToken',
  'target',
  'metadataUrl',
  'resource',
  'refreshToken',
  'requestedScope',
  'scope',
  'proofKey',
] as const

/** Narrows a parsed record; `undefined` when something that is needed is missing. */
export function parseRecord(value: unknown): TokenRecord | undefined {
  if (!isObject(value)) return undefined
  const binding = parseBinding(value['binding'])
  const client = parseClient(value['client'])
  const receivedAt = numberMember(value, 'receivedAt')
  const { issuer, accessToken, target, ...others } = stringMembers(value, RECORD_TEXTS)
  if (client === undefined || issuer === undefined || accessToken === undefined) return undefined
  if (binding === undefined || receivedAt === undefined) return undefined
  return {
    binding,
    target: target ?? binding.url,
    issuer,
    client,
    accessToken,
    receivedAt,
    ...others,
    expiresAt: numberMember(value, 'expiresAt'),
    refused: value['refused'] === true ? true : undefined,
  }
}

/** Narrows a parsed binding; `undefined` when it is none. */
export function parseBinding(value: unknown): TokenBinding | undefined {
  if (!isObject(value)) return undefined
  const { profile, url, ...others } = stringMembers(value, ['profile', 'url', 'issuer', 'clientId'])
  return profile === undefined || url === undefined ? undefined : { profile, url, ...others }
}

/** Narrows a parsed client; `undefined` when it is none. */
export function parseClient(value: unknown): OAuthClient | undefined {
  if (!isObject(value)) return undefined
  const members = ['id', 'secret', 'authMethod', 'source'] as const
  const { id, secret, authMethod, source } = stringMembers(value, members)
  if (id === undefined) return undefined
  return {
    id,
    secret,
    authMethod: isAuthMethod(authMethod) ? authMethod : 'none',
    source: source === 'static' || source === 'document' ? source : 'dynamic',
    redirectUris: stringsMember(value, 'redirectUris'),
  }
}

const SERVER_TEXTS = [
  'issuer',
  'metadataUrl',
  'authorizationEndpoint',
  'tokenEndpoint',
  'registrationEndpoint',
  'revocationEndpoint',
  'deviceAuthorizationEndpoint',
  'userinfoEndpoint',
] as const

/** Narrows parsed metadata that was kept; `undefined` when something that is needed is missing. */
export function parseServer(value: unknown): AuthorizationServer | undefined {
  if (!isObject(value)) return undefined
  const texts = stringMembers(value, SERVER_TEXTS)
  const { issuer, authorizationEndpoint, tokenEndpoint } = texts
  if (issuer === undefined || authorizationEndpoint === undefined || tokenEndpoint === undefined) {
    return undefined
  }
  return {
    ...texts,
    ...{ issuer, authorizationEndpoint, tokenEndpoint },
    scopesSupported: stringsMember(value, 'scopesSupported'),
    grantTypes: stringsMember(value, 'grantTypes'),
    tokenAuthMethods: stringsMember(value, 'tokenAuthMethods'),
    clientIdMetadataDocuments: value['clientIdMetadataDocuments'] === true,
    issInResponses: value['issInResponses'] === true,
    ...(value['takesProofs'] === true && { takesProofs: true as const }),
  }
}

/** Returns the members that are strings; the others are `undefined`. */
export function stringMembers<K extends string>(object: JsonObject, members: readonly K[]) {
  const entries = members.map((member) => [member, stringMember(object, member)])
  return Object.fromEntries(entries) as Record<K, string | undefined>
}

/** Returns the member when it is a number, else `undefined`. */
export function numberMember(object: JsonObject, member: string): number | undefined {
  const value = ownMember(object, member)
  return typeof value === 'number' ? value : undefined
}
