import { randomBytes } from 'node:crypto'
import type { OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js'
import type {
  OAuthClientInformationMixed,
  OAuthClientMetadata,
  OAuthTokens,
} from '@modelcontextprotocol/sdk/shared/auth.js'

/** An OAuth client that is stored in memory only. */
export interface MemoryOAuthProvider extends OAuthClientProvider {
  /** The one `state` of this sign-in. */
  readonly expectedState: string
  /** The URL to open in a browser; `undefined` until sign-in begins. */
  readonly authorizationUrl: URL | undefined
  readonly clientId: string | undefined
  readonly savedTokens: OAuthTokens | undefined
}

/**
 * Creates an OAuth client for one sign-in: it registers itself dynamically, uses PKCE and opens no
 * browser, but keeps the authorization URL for the caller.
 *
 * @see [RFC 7591](https://www.rfc-editor.org/rfc/rfc7591) Dynamic Client Registration
 */
export function createMemoryOAuthProvider(
  clientName: string,
  redirectUrl: string,
): MemoryOAuthProvider {
  const expectedState = randomBytes(16).toString('base64url')
  const clientMetadata: OAuthClientMetadata & { application_type: string } = {
    client_name: clientName,
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  }
  let client: OAuthClientInformationMixed | undefined
  let tokens: OAuthTokens | undefined
  let verifier = ''
  let authorizationUrl: URL | undefined
  return {
    redirectUrl,
    clientMetadata,
    expectedState,
    get authorizationUrl() {
      return authorizationUrl
    },
    get clientId() {
      return client?.client_id
    },
    get savedTokens() {
      return tokens
    },
    state: () => expectedState,
    clientInformation: () => client,
    saveClientInformation(information) {
      client = information
    },
    tokens: () => tokens,
    saveTokens(saved) {
      tokens = saved
    },
    redirectToAuthorization(url) {
      authorizationUrl = url
    },
    saveCodeVerifier(saved) {
      verifier = saved
    },
    codeVerifier: () => verifier,
  }
}
