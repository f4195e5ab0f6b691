import { stateMatches } from '../auth/oauth/authorization.js'
import type { AuthorizationServer } from '../auth/oauth/server-metadata.js'
import { ProxyError } from '../util/errors.js'

/**
 * Reads what a user pasted: the URL at which the browser ended, or only the code in it. A URL must have
 * our `state`. A code alone does not show which server it is from, so it is accepted only when the
 * server's responses never show that (no `iss`); PKCE still binds it to this sign-in.
 *
 * @returns The parameters of the authorization response.
 * @throws {ProxyError} `USAGE` when it is neither, or belongs to another sign-in.
 */
export function parsePasted(
  text: string,
  { state, server }: { state: string; server: Pick<AuthorizationServer, 'issInResponses'> },
): URLSearchParams {
  const trimmed = unquoted(text)
  const searchParams = queryOf(trimmed)
  if (searchParams !== undefined) {
    const isAnswer = searchParams.has('code') || searchParams.has('error')
    if (!isAnswer || !searchParams.has('state')) {
      throw new ProxyError('USAGE', 'This URL has no answer of a sign-in in it, or is cut off', {
        hint: 'Finish the sign-in, then paste the whole URL from the address bar; it has `code=…` and `state=…` in it.',
      })
    }
    if (stateMatches(state, searchParams.get('state'))) return searchParams
    throw new ProxyError('USAGE', 'This URL belongs to another sign-in', {
      hint: 'Sign in at the URL that was shown last, then paste the whole URL at which the browser ends.',
    })
  }
  if (/^[\w.~+/=-]{8,4096}$/.test(trimmed) && !server.issInResponses) {
    return new URLSearchParams({ code: trimmed, state })
  }
  throw new ProxyError('USAGE', 'This is not the URL at which the browser ended', {
    hint: 'Paste the whole URL from the address bar; it ends in `/callback?code=…`.',
  })
}

/** The `state` of a pasted URL; `undefined` when the text is no URL, or has none. */
export function pastedState(text: string): string | undefined {
  return queryOf(unquoted(text))?.get('state') ?? undefined
}

/** Some people paste the quotes, too. */
function unquoted(text: string): string {
  let [start, end] = [0, text.length]
  while (start < end && /[\s"'<]/.test(text.charAt(start))) start++
  while (end > start && /[\s"'>]/.test(text.charAt(end - 1))) end--
  return text.slice(start, end)
}

function queryOf(text: string): URLSearchParams | undefined {
  if (!/^https?:/i.test(text) || !URL.canParse(text)) return undefined
  return new URL(text).searchParams
}
