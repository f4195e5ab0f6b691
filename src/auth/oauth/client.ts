/** How a client shows at the token endpoint that it is itself (RFC 6749 §2.3). */
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

/**
 * Chooses how a client with or without a secret authenticates at a server. Without a list, the
 * server takes `client_secret_basic` (RFC 8414 §2).
 */
export function chooseAuthMethod(
  supported: readonly string[],
  secret: string | undefined,
): ClientAuthMethod {
  if (secret === undefined) return 'none'
  const basic = supported.length === 0 || supported.includes('client_secret_basic')
  return !basic && supported.includes('client_secret_post')
    ? 'client_secret_post'
    : 'client_secret_basic'
}
