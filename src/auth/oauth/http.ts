import { ProxyError } from '../../util/errors.js'
import { isTransient } from '../../util/failure.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { peerUrlProblem } from '../../util/private-addresses.js'
import type { Runtime } from '../../util/runtime.js'
import { markUrl, shownUrl } from '../../util/url-text.js'
import { requestReply } from '../fetch-json.js'
import { RetryableError } from './failure.js'

export type HttpDeps = Pick<Runtime, 'fetch' | 'clock' | 'allowHttp'>

/** Longer than elsewhere, because an authorization server may be starting up. */
const LIMITS = { timeoutMs: 10_000, maxBytes: 1_048_576 }

const MAX_REDIRECTS = 3

/**
 * Checks a URL that a peer sent before it is fetched, printed or opened: `https:`, or `http:` on
 * loopback or where the user allowed it; no credentials; not in an inner network unless we talk to
 * one already.
 *
 * @param what Names the URL in the message, such as `"token_endpoint"`.
 * @param near The URL that led here; without it, the URL was configured and may be anywhere.
 * @throws {ProxyError} `DISCOVERY_INVALID`
 */
export function requireSafeUrl(
  { allowHttp }: Pick<HttpDeps, 'allowHttp'>,
  text: string,
  what: string,
  near?: URL,
): URL {
  const from = near ?? (URL.canParse(text) ? new URL(text) : new URL('https://invalid.example'))
  const problem = peerUrlProblem(text, from, allowHttp)
  if (problem === undefined) return new URL(text)
  throw new ProxyError('DISCOVERY_INVALID', `${what} ${problem}: ${JSON.stringify(markUrl(text))}`)
}

/** An answer that was read to its end. */
export interface ReadResponse {
  readonly status: number
  readonly headers: Headers
  readonly body: string
}

/**
 * Sends a request with a deadline and reads a body of limited size.
 *
 * @throws {RetryableError} when there is no complete answer.
 */
export async function fetchText(
  deps: HttpDeps,
  url: URL,
  init: RequestInit = {},
): Promise<ReadResponse> {
  let answer: Awaited<ReturnType<typeof requestReply>>
  try {
    answer = await requestReply(deps, url.href, init, LIMITS)
  } catch (error) {
    if (!(error instanceof ProxyError)) throw error
    throw new RetryableError(error.message, { hint: error.hint ?? '', cause: error.cause })
  }
  const { status, headers, text } = answer
  if (text === undefined) {
    throw new ProxyError('DISCOVERY_INVALID', `${shownUrl(url)} sent an answer that is too long`)
  }
  return { status, headers, body: text }
}

/**
 * Fetches a metadata document, following a few redirects that stay on safe URLs.
 *
 * @returns The object, or `undefined` when the server has none there (4xx, or not JSON).
 * @throws {RetryableError} when the server cannot be reached or is in trouble (429, 5xx).
 */
export async function fetchMetadata(deps: HttpDeps, start: URL): Promise<JsonObject | undefined> {
  let url = start
  for (let hops = 0; ; hops++) {
    const answer = await fetchText(deps, url, { headers: { accept: 'application/json' } })
    const { status, headers, body } = answer
    const location = headers.get('location')
    if (status >= 300 && status < 400 && location !== null) {
      if (hops === MAX_REDIRECTS || !URL.canParse(location, url.href)) return undefined
      url = requireSafeUrl(deps, new URL(location, url).href, 'A redirect of the metadata', start)
      continue
    }
    if (isTransient(status)) {
      throw new RetryableError(`${shownUrl(url)} answered with status ${status}`, {
        retryAfter: headers.get('retry-after'),
      })
    }
    const json = status === 200 ? tryParseJson(body) : undefined
    return isObject(json) ? json : undefined
  }
}

/**
 * Tries several URLs in order until one has the document. A failure is thrown only when none has it;
 * the other URLs of a server that did not answer in time are left out.
 *
 * @throws The first failure.
 */
export async function firstFound<T>(
  places: readonly URL[],
  look: (place: URL) => Promise<T | undefined>,
): Promise<T | undefined> {
  const failures: ProxyError[] = []
  const silent = new Set<string>()
  for (const place of places) {
    if (silent.has(place.origin)) continue
    try {
      const found = await look(place)
      if (found !== undefined) return found
    } catch (error) {
      if (!(error instanceof ProxyError)) throw error
      failures.push(error)
      if (isTimeout(error)) silent.add(place.origin)
    }
  }
  if (failures[0] !== undefined) throw failures[0]
  return undefined
}

/** A request that was given up at its deadline was aborted. */
function isTimeout({ cause }: ProxyError): boolean {
  return cause instanceof Error && cause.name === 'AbortError'
}
