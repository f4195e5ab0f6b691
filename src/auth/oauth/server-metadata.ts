import { ProxyError } from '../../util/errors.js'
import { type JsonObject, stringMember, textMember, textsMember } from '../../util/json.js'
import { trimSlashes } from '../../util/text.js'
import { markUrl, shownUrl, wellKnownPath } from '../../util/url-text.js'
import { fetchMetadata, firstFound, type HttpDeps, requireSafeUrl } from './http.js'
import { PROOF_ALGORITHM } from './proof-keys.js'

/** An authorization server's metadata (RFC 8414, OpenID Connect Discovery), checked. */
export interface AuthorizationServer {
  readonly issuer: string
  /** Where the document was; `undefined` when there is none and the endpoints are assumed. */
  readonly metadataUrl: string | undefined
  readonly authorizationEndpoint: string
  readonly tokenEndpoint: string
  readonly registrationEndpoint: string | undefined
  readonly revocationEndpoint: string | undefined
  readonly deviceAuthorizationEndpoint: string | undefined
  /** As the server wrote it: not checked yet. */
  readonly userinfoEndpoint?: string | undefined
  /** Empty when the server does not say. */
  readonly scopesSupported: readonly string[]
  readonly grantTypes: readonly string[]
  readonly tokenAuthMethods: readonly string[]
  readonly clientIdMetadataDocuments: boolean
  /** RFC 9207: authorization responses always carry `iss`. */
  readonly issInResponses: boolean
  /** It binds tokens to a key that is proved as we do it (RFC 9449 §5.1). */
  readonly takesProofs?: true | undefined
}

/**
 * Finds the metadata of an authorization server: RFC 8414 with the path inserted, OpenID Connect
 * with the path inserted, OpenID Connect with the path first. A document whose `issuer` is not
 * exactly the identifier is never used. When a place fails or has another document, the next one is
 * tried: all of them are guesses.
 *
 * @param near The server that named the issuer; absent when the user did.
 * @param known Where the document was last time; this place is tried first.
 * @returns `undefined` when the server publishes none.
 * @throws {RetryableError} when the server does not answer now.
 * @throws {ProxyError} `DISCOVERY_INVALID` when there is only a document that must not be used.
 * @see [RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3)
 */
export async function discoverAuthorizationServer(
  deps: HttpDeps,
  issuer: string,
  { near, known }: { near?: URL; known?: string | undefined } = {},
): Promise<AuthorizationServer | undefined> {
  const urls = candidates(requireSafeUrl(deps, issuer, 'The issuer', near))
  urls.sort((a, b) => Number(b.href === known) - Number(a.href === known))
  return await firstFound(urls, async (url) => {
    const document = await fetchMetadata(deps, url)
    if (document === undefined) return undefined
    const stated = stringMember(document, 'issuer')
    if (stated !== undefined && isSameIssuer(stated, issuer)) {
      return readAuthorizationServer(deps, document, stated, url.href)
    }
    throw new ProxyError(
      'DISCOVERY_INVALID',
      `${shownUrl(url)} has "issuer" ${JSON.stringify(stated && markUrl(stated.slice(0, 300)))} instead of ${JSON.stringify(markUrl(issuer))}`,
    )
  })
}

/**
 * Compares issuers to the letter, with one tolerance: an empty path and `/` are the same.
 *
 * @see [RFC 3986 §6.2.3](https://www.rfc-editor.org/rfc/rfc3986#section-6.2.3) Scheme-Based Normalization
 */
export function isSameIssuer(one: string, other: string): boolean {
  const [shorter, longer] = one.length < other.length ? [one, other] : [other, one]
  return one === other || (longer === `${shorter}/` && /^https?:\/\/[^/?#]+$/i.test(shorter))
}

/** Lists where the metadata of an issuer may be, in the order in which to look. */
function candidates(issuer: URL): URL[] {
  const path = trimSlashes(issuer.pathname)
  const names = ['oauth-authorization-server', 'openid-configuration'] as const
  const inserted = names.map((name) => new URL(wellKnownPath(name, path), issuer))
  if (path === '') return inserted
  return [...inserted, new URL(path + wellKnownPath('openid-configuration'), issuer)]
}

/**
 * Narrows a metadata document to what we use.
 *
 * @throws {ProxyError} `DISCOVERY_INVALID` when an endpoint is missing or not https, or when the
 *   server does not announce PKCE with S256 (without it, stolen codes could be used).
 */
function readAuthorizationServer(
  deps: HttpDeps,
  document: JsonObject,
  issuer: string,
  metadataUrl: string,
): AuthorizationServer {
  const endpoint = (member: string): string | undefined => {
    const value = textMember(document, member)
    return value === undefined
      ? undefined
      : requireSafeUrl(deps, value, JSON.stringify(member), new URL(issuer)).href
  }
  const authorizationEndpoint = endpoint('authorization_endpoint')
  const tokenEndpoint = endpoint('token_endpoint')
  if (authorizationEndpoint === undefined || tokenEndpoint === undefined) {
    const missing = tokenEndpoint === undefined ? 'token_endpoint' : 'authorization_endpoint'
    throw new ProxyError(
      'DISCOVERY_INVALID',
      `The metadata of ${markUrl(issuer)} has no "${missing}"`,
    )
  }
  if (!textsMember(document, 'code_challenge_methods_supported').includes('S256')) {
    throw new ProxyError(
      'DISCOVERY_INVALID',
      `${markUrl(issuer)} does not announce PKCE with S256 ("code_challenge_methods_supported")`,
      { hint: 'Switch PKCE on at the authorization server; MCP forbids signing in without it.' },
    )
  }
  return {
    issuer,
    metadataUrl,
    authorizationEndpoint,
    tokenEndpoint,
    registrationEndpoint: endpoint('registration_endpoint'),
    revocationEndpoint: endpoint('revocation_endpoint'),
    deviceAuthorizationEndpoint: endpoint('device_authorization_endpoint'),
    userinfoEndpoint: textMember(document, 'userinfo_endpoint'),
    scopesSupported: textsMember(document, 'scopes_supported'),
    grantTypes: textsMember(document, 'grant_types_supported'),
    tokenAuthMethods: textsMember(document, 'token_endpoint_auth_methods_supported'),
    clientIdMetadataDocuments: document['client_id_metadata_document_supported'] === true,
    issInResponses: document['authorization_response_iss_parameter_supported'] === true,
    ...(textsMember(document, 'dpop_signing_alg_values_supported').includes(PROOF_ALGORITHM) && {
      takesProofs: true as const,
    }),
  }
}

/**
 * Gives the endpoints that MCP 2025-03-26 assumes at a server without any metadata.
 *
 * @param origin Origin of the MCP server itself.
 */
export function assumedAuthorizationServer(origin: string): AuthorizationServer {
  return {
    issuer: origin,
    metadataUrl: undefined,
    authorizationEndpoint: `${origin}/authorize`,
    tokenEndpoint: `${origin}/token`,
    registrationEndpoint: `${origin}/register`,
    revocationEndpoint: undefined,
    deviceAuthorizationEndpoint: undefined,
    scopesSupported: [],
    grantTypes: [],
    tokenAuthMethods: [],
    clientIdMetadataDocuments: false,
    issInResponses: false,
  }
}
