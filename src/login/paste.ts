import { stateMatches } from '../auth/oauth/authorization.js'
import type { AuthorizationServer } from '../auth/oauth/server-metadata.js'
import { ProxyError } from '../util/errors.js'

/**
 * Reads what a user pasted: the URL that the browser ended at, or only the code in it. A URL has to
 * carry our `state`. A code alone proves nothing about where it comes from, so it is taken only from
 * servers that could not say that anyhow; PKCE still binds it to this sign-in.
 *
 * @returns The parameters of the authorization response.
 * @throws {ProxyError} `USAGE` when it is neither, or belongs to another sign-in.
 */
export function parsePasted(
  text: string,
  { state, server }: { state: string; server: Pick<AuthorizationServer, 'issInResponses'> },
): URLSearchParams {
  const trimmed = text.trim().replace(/^["'<]+|[>"']+$/g, '')
  if (URL.canParse(trimmed) && /^https?:/i.test(trimmed)) {
    const { searchParams } = new URL(trimmed)
    if (stateMatches(state, searchParams.get('state'))) return searchParams
    throw new ProxyError('USAGE', 'This URL does not belong to the sign-in that is waiting', {
      hint: 'Sign in at the URL that was shown last, then paste the whole URL that the browser ends at.',
    })
  }
  if (/^[\w.~+/=-]{8,4096}$/.test(trimmed) && !server.issInResponses) {
    return new URLSearchParams({ code: trimmed, state })
  }
  throw new ProxyError('USAGE', 'This is not the URL that the browser ended at', {
    hint: 'Paste the whole URL from the address bar; it ends in `/callback?code=…`.',
  })
}
