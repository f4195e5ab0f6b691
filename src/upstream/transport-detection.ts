import { anyResponse } from '../mcp/incoming.js'
import { isObject, tryParseJson } from '../util/json.js'
import { HeldAnswer, lateFailure, whenLoaded } from './held-answer.js'
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

/** Servers of the older transport answer a POST with one of these, and not with MCP. */
const PERHAPS_OLDER: ReadonlySet<number> = new Set([400, 404, 405])

export interface AutoOptions {
  http: Upstream
  /** Opens the older transport, when it is first needed. */
  openSse(): Promise<SseUpstream>
  /** Gets the transport that this one can be replaced with from now on. */
  onChoice?(chosen: Upstream): void
}

/**
 * Speaks Streamable HTTP, and the transport before it with servers that know only that one. Which
 * one it is shows with the first POST that is answered: the older one is tried only on 400, 404 or
 * 405 with a body that is no MCP message, and only for a request outside of a session; every other
 * answer stands for itself.
 *
 * @see [MCP 2025-11-25, backwards compatibility](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility)
 */
export function createAutoUpstream({ http, openSse, onChoice }: AutoOptions): Upstream {
  let chosen: Upstream | undefined
  let sse: Promise<SseUpstream> | undefined
  let opening: Promise<OpeningStream> | undefined

  const older = () => {
    sse ??= openSse()
    return sse
  }

  const sendBySse = (request: UpstreamRequest, handler: UpstreamHandler) => {
    whenLoaded(older(), handler, (transport) => transport.send(request, handler))
  }

  const openOnce = (request: UpstreamRequest) => {
    opening ??= older()
      .then((transport) => transport.probe(request))
      .finally(() => {
        opening = undefined
      })
    return opening
  }

  async function fallBack(
    request: UpstreamRequest,
    handler: UpstreamHandler,
    answer: HeldAnswer,
  ): Promise<void> {
    if (chosen === undefined) {
      const opened = await openOnce(request)
      if (opened.kind === 'open') choose(await older())
      else if (opened.kind === 'refused' && (opened.status === 401 || opened.status === 403)) {
        return answer.respond(opened.status, opened.headers)
      } else {
        const { reasonOf } = await import('./sse/sse-stream.js')
        const reason = `it answered HTTP ${answer.status} to a POST, and ${reasonOf(opened)} (HTTP+SSE)`
        return answer.fail(new UpstreamError('http_status', reason, answer.status))
      }
    }
    if (answer.isOver) return
    if (chosen === undefined) sendBySse(request, handler)
    else chosen.send(request, handler)
  }

  const choose = (transport: Upstream) => {
    if (chosen !== undefined) return
    chosen = transport
    onChoice?.(transport)
  }

  return {
    send(request, handler) {
      if (chosen !== undefined) return chosen.send(request, handler)
      const sessionId = headerOf(request.headers, 'mcp-session-id')
      // of another process, or of a stream before this one started
      if (sessionId?.startsWith(SSE_SESSION)) return sendBySse(request, handler)
      if (request.method !== 'POST') return http.send(request, handler)
      const holds = (status: number) => {
        if (status >= 200 && status < 300) choose(http)
        return PERHAPS_OLDER.has(status)
      }
      const decide = (answer: HeldAnswer) => {
        const isOlder = sessionId === undefined && maySpeakSse(request, answer)
        if (!isOlder) return answer.replay()
        fallBack(request, handler, answer).catch((error) => answer.fail(lateFailure(error)))
      }
      http.send(request, new HeldAnswer(handler, { holds, decide }))
    },
    async close() {
      const closeSse = sse?.then((transport) => transport.close()).catch(() => undefined)
      await Promise.all([http.close(), closeSse])
    },
  }
}

/** Only `initialize` can tell by 400 that it came to an older server: others may lack a session. */
function maySpeakSse({ body }: UpstreamRequest, { status, text }: HeldAnswer): boolean {
  if (anyResponse(text)?.['jsonrpc'] === '2.0') return false
  if (status !== 400) return true
  const message = tryParseJson(body?.toString() ?? '')
  return isObject(message) && message['method'] === 'initialize'
}
