import type { UpstreamRequest } from '../http/pool.js'
import { isObject, tryParseJson } from '../util/json.js'

const SAFE = /^(initialize|ping|server\/discover|completion\/complete|notifications\/initialized)$/
const READS = /\/(list|read|get)$/

/**
 * Tells whether a request changes nothing at the target, so that it may be sent twice. A tool call
 * never is: the first one may have run.
 */
export function mayRepeat({ method, body }: Pick<UpstreamRequest, 'method' | 'body'>): boolean {
  if (method !== 'POST') return true
  const message = tryParseJson(body?.toString() ?? '')
  const called = isObject(message) ? message['method'] : undefined
  return typeof called === 'string' && (SAFE.test(called) || READS.test(called))
}
