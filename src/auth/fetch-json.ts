import { ProxyError } from '../util/errors.js'
import type { Runtime } from '../util/runtime.js'
import { shownUrl } from '../util/url-text.js'

/** An answer that was read to its end. */
export interface FetchedText {
  readonly status: number
  readonly headers: Headers
  /** `undefined` when it was longer than the limit. */
  readonly text: string | undefined
}

export interface HttpLimits {
  /** For the whole exchange, body included; milliseconds. */
  timeoutMs?: number
  /** Largest body, bytes. */
  maxBytes?: number
}

/**
 * Sends a request to an authorization server and reads the answer within limits. Redirects are
 * not followed; the status is not judged.
 *
 * @throws {ProxyError} `ISSUER_UNREACHABLE` when there is no complete answer in time.
 */
export async function requestReply(
  { fetch, clock }: Pick<Runtime, 'fetch' | 'clock'>,
  url: string,
  init: RequestInit = {},
  { timeoutMs = 5_000, maxBytes = 262_144 }: HttpLimits = {},
): Promise<FetchedText> {
  const controller = new AbortController()
  let late = false
  const cancel = clock.after(timeoutMs, () => {
    late = true
    controller.abort()
  })
  try {
    const response = await fetch(url, { ...init, redirect: 'manual', signal: controller.signal })
    // a server that answers every GET with an event stream has no document, and the stream never ends
    const text = isEventStream(response.headers) ? '' : await readText(response, maxBytes)
    return { status: response.status, headers: response.headers, text }
  } catch (error) {
    const why = late ? `no complete answer within ${timeoutMs / 1000} s` : reasonOf(error)
    throw new ProxyError('ISSUER_UNREACHABLE', `${shownUrl(url)} did not answer: ${why}`, {
      hint: 'Check the address, DNS, and whether a firewall or an HTTP proxy is in the way.',
      cause: error,
    })
  } finally {
    cancel()
    controller.abort()
  }
}

function isEventStream(headers: Headers): boolean {
  return headers.get('content-type')?.toLowerCase().startsWith('text/event-stream') === true
}

async function readText(response: Response, maxBytes: number): Promise<string | undefined> {
  if (!response.body) return ''
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  for await (const chunk of response.body) {
    bytes += chunk.byteLength
    if (bytes > maxBytes) return undefined
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

/** Node hides the interesting part of a failed fetch in `cause`. */
function reasonOf(error: unknown): string {
  let deepest = error
  while (deepest instanceof Error && deepest.cause !== undefined) deepest = deepest.cause
  if (deepest instanceof Error && 'code' in deepest && typeof deepest.code === 'string') {
    return deepest.code
  }
  return deepest instanceof Error ? deepest.message : String(deepest)
}
