import { ProxyError } from '../util/errors.js'

const MOST_REDIRECTS = 10

/**
 * Plays the browser of a user who is signed in already: opens the authorization URL and follows
 * redirects until one leads to the client's own redirect URL, which is not opened.
 *
 * It fills in no form and clicks nothing, so it fails at a page that waits for a person.
 *
 * @param redirectUrl The client's redirect URL, without query.
 * @returns The URL to which the client was called back, with its query.
 * @throws {ProxyError} `SIGN_IN_FAILED`
 * @see [RFC 6749 §4.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1) Authorization Code Grant
 */
export async function followAuthorization(
  url: URL,
  redirectUrl: string,
  fetch: typeof globalThis.fetch,
): Promise<URL> {
  let current = url
  for (let hops = 0; hops < MOST_REDIRECTS; hops += 1) {
    if (!/^https?:$/.test(current.protocol)) {
      throw failed(`was redirected to a "${current.protocol}" URL`)
    }
    const answer = await fetch(current, { redirect: 'manual', headers: { accept: 'text/html' } })
    await answer.body?.cancel()
    const location = answer.headers.get('location')
    if (answer.status < 300 || answer.status > 399 || location === null) {
      throw failed(`got status ${answer.status} instead of a redirect`)
    }
    if (!URL.canParse(location, current.href)) throw failed('got a redirect without a valid URL')
    current = new URL(location, current)
    if (`${current.origin}${current.pathname}` === redirectUrl) return current
  }
  throw failed(`was redirected more than ${MOST_REDIRECTS} times`)
}

/**
 * Reads the authorization code out of the URL to which the client was called back.
 *
 * @param state What the client sent as `state`.
 * @throws {ProxyError} `SIGN_IN_FAILED`
 */
export function readCallback({ searchParams }: URL, state: string): string {
  if (searchParams.get('state') !== state) throw failed('came back with another "state"')
  const error = searchParams.get('error')
  if (error !== null) {
    const why = searchParams.get('error_description') ?? error
    throw failed(`was refused: ${JSON.stringify(why)}`)
  }
  const code = searchParams.get('code')
  if (code === null) throw failed('came back without a code')
  return code
}

function failed(what: string): ProxyError {
  return new ProxyError('SIGN_IN_FAILED', `The sign-in ${what}`)
}
