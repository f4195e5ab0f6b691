import { isObject, tryParseJson } from '../util/json.js'
import { HeldAnswer } from './held-answer.js'
import { loadFailure, whenLoaded } from './shared/pending-call.js'
import type { OpeningStream } from './sse/sse-stream.js'
import type { SseUpstream } from './sse/sse-upstream.js'
import {
  headerOf,
  SSE_SESSION,
  type Upstream,
  type UpstreamHandler,
  type UpstreamRequest,
} from './upstream.js'
import { UpstreamError } from './upstream-error.js'

/** What servers that know only HTTP+SSE answer to a POST. */
const MAY_BE_SSE: ReadonlySet<number> = new Set([400, 404, 405])

export interface TransportDetectionOptions {
  http: Upstream
  /** Opens HTTP+SSE when it is first needed. */
  openSse(): Promise<SseUpstream>
  /** Learns, once, which transport the target speaks. */
  onChoice?(transport: 'Streamable HTTP' | 'HTTP+SSE'): void
}

/**
 * Speaks Streamable HTTP, and HTTP+SSE with servers that know only that transport. The first POST that
 * is answered decides: HTTP+SSE is tried only after a 400, 404 or 405 whose body is no MCP message, and
 * only for a request outside of a session. Every other answer is passed on. Once the transport is
 * known, requests go straight to it.
 *
 * @see [MCP 2025-11-25, backwards compatibility](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility)
 */
export function createDetectingUpstream({
  http,
  openSse,
  onChoice,
}: TransportDetectionOptions): Upstream {
  let chosen: Upstream | undefined
  let opened: Promise<SseUpstream> | undefined
  let probing: Promise<OpeningStream> | undefined

  const sse = () => {
    opened ??= openSse()
    return opened
  }

  const sendBySse = (request: UpstreamRequest, handler: UpstreamHandler) => {
    whenLoaded(sse(), handler, (transport) => transport.send(request, handler))
  }

  const probeOnce = (request: UpstreamRequest) => {
    probing ??= sse()
      .then((transport) => transport.probe(request))
      .finally(() => {
        probing = undefined
      })
    return probing
  }

  const choose = (transport: Upstream) => {
    if (chosen !== undefined) return
    chosen = transport
    onChoice?.(transport === http ? 'Streamable HTTP' : 'HTTP+SSE')
  }

  async function fallBack(
    request: UpstreamRequest,
    handler: UpstreamHandler,
    answer: HeldAnswer,
  ): Promise<void> {
    if (chosen === undefined) {
      const probed = await probeOnce(request)
      if (probed.kind === 'open') choose(await sse())
      else if (probed.kind === 'refused' && (probed.status === 401 || probed.status === 403)) {
        return answer.respond(probed.status, probed.headers)
      } else {
        const { reasonOf } = await import('./sse/sse-stream.js')
        const reason = `it answered HTTP ${answer.status} to a POST, and ${reasonOf(probed)} (HTTP+SSE)`
        return answer.fail(new UpstreamError('http_status', reason, answer.status))
      }
    }
    if (answer.isOver) return
    if (chosen === undefined) sendBySse(request, handler)
    else chosen.send(request, handler)
  }

  return {
    send(request, handler) {
      if (chosen !== undefined) return chosen.send(request, handler)
      const sessionId = headerOf(request.headers, 'mcp-session-id')
      // opened by another process, or by this one before it was restarted
      if (sessionId?.startsWith(SSE_SESSION)) return sendBySse(request, handler)
      if (request.method !== 'POST') return http.send(request, handler)
      const holds = (status: number) => {
        if (status >= 200 && status < 300) choose(http)
        return MAY_BE_SSE.has(status)
      }
      const decide = (answer: HeldAnswer) => {
        const mayBeSse = sessionId === undefined && maySpeakSse(request, answer)
        if (!mayBeSse) return answer.replay()
        fallBack(request, handler, answer).catch((error) => answer.fail(loadFailure(error)))
      }
      http.send(request, new HeldAnswer(handler, { holds, decide }))
    },
    async close() {
      const closeSse = opened?.then((transport) => transport.close()).catch(() => undefined)
      await Promise.all([http.close(), closeSse])
    },
    get held() {
      return chosen?.held
    },
  }
}

/** After a 400 only for `initialize`: other requests may be refused for want of a session. */
function maySpeakSse({ body }: UpstreamRequest, { status, response }: HeldAnswer): boolean {
  if (response?.['jsonrpc'] === '2.0') return false
  if (status !== 400) return true
  const message = tryParseJson(body?.toString() ?? '')
  return isObject(message) && message['method'] === 'initialize'
}
