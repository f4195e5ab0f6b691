import { UpstreamError } from '../http/failure.js'
import { headerOf } from '../http/header-pairs.js'
import type {
  Upstream,
  UpstreamController,
  UpstreamHandler,
  UpstreamRequest,
} from '../http/pool.js'
import { isObject, tryParseJson } from '../util/json.js'
import { type Opening, reasonOf } from './sse-stream.js'
import { SSE_SESSION, type SseUpstream } from './sse-upstream.js'

type Head = Parameters<NonNullable<UpstreamHandler['onResponseStart']>>[2]

/** Servers of the older transport answer a POST with one of these, and not with MCP. */
const PERHAPS_OLDER: ReadonlySet<number> = new Set([400, 404, 405])
const MAX_BODY_BYTES = 64 * 1024

/**
 * Speaks Streamable HTTP, and the transport before it with servers that know only that one. Which
 * one it is shows with the first POST that is answered: the older one is tried only on 400, 404 or
 * 405 with a body that is no MCP message, and only for a request outside of a session; every other
 * answer stands for itself.
 *
 * @param onChoice Gets the transport that this one can be replaced with from now on.
 * @see [MCP 2025-11-25, backwards compatibility](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility)
 */
export function createAutoUpstream(
  http: Upstream,
  sse: SseUpstream,
  onChoice: (chosen: Upstream) => void = () => {},
): Upstream {
  let chosen: Upstream | undefined
  let opening: Promise<Opening> | undefined

  const openOnce = (request: UpstreamRequest) => {
    opening ??= sse.probe(request).finally(() => {
      opening = undefined
    })
    return opening
  }

  async function fallBack(request: UpstreamRequest, probe: Probe): Promise<void> {
    if (chosen === undefined) {
      const opened = await openOnce(request)
      if (opened.kind === 'open') choose(sse)
      else if (opened.kind === 'refused' && (opened.status === 401 || opened.status === 403)) {
        return probe.replay(opened.status, opened.headers)
      } else {
        const reason = `it answered HTTP ${probe.status} to a POST, and ${reasonOf(opened)} (HTTP+SSE)`
        return probe.fail(new UpstreamError('http_status', reason, probe.status))
      }
    }
    if (!probe.isOver) (chosen ?? sse).send(request, probe.handler)
  }

  const choose = (transport: Upstream) => {
    if (chosen !== undefined) return
    chosen = transport
    onChoice(transport)
  }

  return {
    send(request, handler) {
      if (chosen !== undefined) return chosen.send(request, handler)
      const sessionId = headerOf(request.headers, 'mcp-session-id')
      // of another process, or of a stream before this one started
      if (sessionId?.startsWith(SSE_SESSION)) return sse.send(request, handler)
      if (request.method !== 'POST') return http.send(request, handler)
      const onStatus = (status: number) => {
        if (status >= 200 && status < 300) choose(http)
      }
      const isOutside = sessionId === undefined
      http.send(
        request,
        new Probe(handler, onStatus, (probe) => {
          if (!isOutside || !mayBeOlder(request, probe.status)) return false
          void fallBack(request, probe)
          return true
        }),
      )
    },
    async close() {
      await Promise.all([http.close(), sse.close()])
    },
  }
}

/** Only `initialize` can tell by 400 that it came to an older server: others may lack a session. */
function mayBeOlder({ body }: UpstreamRequest, status: number): boolean {
  if (status !== 400) return true
  const message = tryParseJson(body?.toString() ?? '')
  return isObject(message) && message['method'] === 'initialize'
}

/** Passes an answer on, unless it may come from a server of the older transport. */
class Probe implements UpstreamHandler {
  readonly handler: UpstreamHandler
  readonly #onStatus: (status: number) => void
  readonly #onOlder: (probe: Probe) => boolean
  #controller: UpstreamController | undefined
  #head: Head = {}
  #body: Buffer[] | undefined
  #bytes = 0
  status = 0

  constructor(
    handler: UpstreamHandler,
    onStatus: (status: number) => void,
    onOlder: (probe: Probe) => boolean,
  ) {
    this.handler = handler
    this.#onStatus = onStatus
    this.#onOlder = onOlder
  }

  get isOver(): boolean {
    return this.#controller?.aborted === true
  }

  onRequestStart(controller: UpstreamController, context: unknown): void {
    this.#controller = controller
    this.handler.onRequestStart?.(controller, context)
  }

  onResponseStart(controller: UpstreamController, status: number, headers: Head): void {
    this.status = status
    this.#head = headers
    this.#onStatus(status)
    if (PERHAPS_OLDER.has(status)) this.#body = []
    else this.handler.onResponseStart?.(controller, status, headers)
  }

  onResponseData(controller: UpstreamController, chunk: Buffer): void {
    if (this.#body === undefined) return this.handler.onResponseData?.(controller, chunk)
    this.#bytes += chunk.length
    if (this.#bytes <= MAX_BODY_BYTES) this.#body.push(chunk)
  }

  onResponseEnd(controller: UpstreamController): void {
    if (this.#body === undefined) return this.handler.onResponseEnd?.(controller, {})
    const body = Buffer.concat(this.#body)
    const message = tryParseJson(body.toString('utf8'))
    const isMcp = isObject(message) && message['jsonrpc'] === '2.0'
    if (isMcp || !this.#onOlder(this)) this.replay(this.status, this.#head, body)
  }

  onResponseError(controller: UpstreamController, error: Error): void {
    this.handler.onResponseError?.(controller, error)
  }

  replay(status: number, headers: Head, body?: Buffer): void {
    const controller = this.#controller as UpstreamController
    this.handler.onResponseStart?.(controller, status, headers)
    if (body !== undefined) this.handler.onResponseData?.(controller, body)
    this.handler.onResponseEnd?.(controller, {})
  }

  fail(error: Error): void {
    this.handler.onResponseError?.(this.#controller as UpstreamController, error)
  }
}
