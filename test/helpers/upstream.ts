import {
  createHttpUpstream,
  type HttpUpstreamOptions,
} from '../../src/upstream/http/http-client.js'
import { type OnFault, plainAnswers } from '../../src/upstream/http/plain-answers.js'
import type { Upstream } from '../../src/upstream/upstream.js'
import { createClock } from '../../src/util/async.js'

/** Opens the connections to a target as `serve` does. */
export function openUpstream(
  url: URL,
  onFault?: OnFault,
  options: Partial<HttpUpstreamOptions> = {},
): Upstream {
  const client = createHttpUpstream(url, { clock: createClock(), idleMs: 4_000, ...options })
  return plainAnswers(client, url, onFault)
}
