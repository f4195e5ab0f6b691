import { ProxyError } from '../../util/errors.js'

/** How a client authenticates at the token endpoint (RFC 6749 §2.3). */
export type ClientAuthMethod = 'none' | 'client_secret_basic' | 'client_secret_post'

/** A client as one authorization server knows it. */
export interface OAuthClient {
  readonly id: string
  readonly secret: string | undefined
  readonly authMethod: ClientAuthMethod
  /** `static`: given by the user; `document`: a client id metadata document; `dynamic`: RFC 7591. */
  readonly source: 'static' | 'document' | 'dynamic'
  /** As registered; empty when only the server knows them. */
  readonly redirectUris: readonly string[]
}

/** The client that the user configured, if any. */
export interface ConfiguredClient {
  readonly id?: string | undefined
  readonly secret?: string | undefined
  /** https URL of a client id metadata document. */
  readonly metadataUrl?: string | undefined
}

/** Without a secret first, since a native application keeps none. */
const METHODS: readonly ClientAuthMethod[] = ['none', 'client_secret_post', 'client_secret_basic']
const SECRET_METHODS: readonly ClientAuthMethod[] = [
  'client_secret_post',
  'client_secret_basic',
  'none',
]

/** Tells whether a value names a method that we can authenticate by. */
export function isAuthMethod(value: unknown): value is ClientAuthMethod {
  return METHODS.some((method) => method === value)
}

/**
 * Chooses how a client with or without a secret authenticates at a server. The body comes before the
 * header, because some servers look for `client_id` in the body only, whatever they announce. Without
 * a list, the server takes `client_secret_basic` (RFC 8414 §2).
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when the server takes none of our methods.
 */
export function chooseAuthMethod(
  supported: readonly string[],
  secret: string | undefined,
): ClientAuthMethod {
  if (supported.length === 0) return secret === undefined ? 'none' : 'client_secret_basic'
  const chosen = SECRET_METHODS.find((method) => supported.includes(method))
  if (chosen === undefined) throw unsupportedMethod(supported)
  return secret === undefined ? 'none' : chosen
}

/**
 * Chooses the method to register a client for.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when the server takes none of our methods.
 */
export function methodToRegister(supported: readonly string[]): ClientAuthMethod {
  if (supported.length === 0) return 'none'
  const chosen = METHODS.find((method) => supported.includes(method))
  if (chosen === undefined) throw unsupportedMethod(supported)
  return chosen
}

/** The error for a server that wants clients to authenticate in a way that we do not know. */
export function unsupportedMethod(methods: readonly string[]): ProxyError {
  const names = methods.map((method) => JSON.stringify(method.slice(0, 60))).slice(0, 8)
  return new ProxyError(
    'SIGN_IN_FAILED',
    `The authorization server authenticates clients only by ${names.join(', ')}, which is not supported`,
    { hint: `Allow one of ${METHODS.join(', ')} for this client at the authorization server.` },
  )
}

/**
 * Gives the other place of a client's secret, for when the server does not know the client by the
 * first one: only it knows how a configured client authenticates, and what servers announce and answer
 * at registration is often not what they do. `undefined` when there is nothing else to try.
 */
export function otherSecretMethod(
  supported: readonly string[],
  { secret, authMethod }: OAuthClient,
): ClientAuthMethod | undefined {
  if (secret === undefined || authMethod === 'none') return undefined
  const other = authMethod === 'client_secret_post' ? 'client_secret_basic' : 'client_secret_post'
  return supported.length === 0 || supported.includes(other) ? other : undefined
}
