import { objectMember } from '../../util/json.js'
import type { MemoryBudget } from '../../util/memory-budget.js'
import type { Clock } from '../../util/runtime.js'
import { ClientSession } from '../shared/client-session.js'
import type { PendingCall } from '../shared/pending-call.js'
import { problemWith, SharedConnection } from '../shared/shared-connection.js'
import { isRequest, type SharedRequest } from '../shared/shared-request.js'
import {
  Drain,
  headerPairs,
  MAX_REFUSAL_BYTES,
  type Upstream,
  type UpstreamController,
  type UpstreamHandler,
} from '../upstream.js'
import { codedError } from '../upstream-error.js'
import type { SseStream } from './sse-stream.js'

/** Time limit of the POSTs that no client waits for. */
const OWN_MS = 30_000

interface SseSessionOptions {
  clock: Pick<Clock, 'after'>
  stream: SseStream
  /** Connections to the endpoint that the stream named. */
  posts: Upstream
  /** The `initialize` that it was opened for. */
  incoming: SharedRequest
  /** 0 waits for ever. */
  idleMs: number
  memory: MemoryBudget | undefined
  onEnd(): void
}

/** One stream of an HTTP+SSE server, which is one session there. */
export class SseSession {
  readonly #options: SseSessionOptions
  readonly #connection: SharedConnection
  readonly #session: ClientSession
  #cancelTimer = () => {}
  #isOver = false
  /** Those of the last request, for messages that are made here. */
  #headers: readonly string[]

  constructor(options: SseSessionOptions) {
    this.#options = options
    const { stream, incoming } = options
    this.#headers = incoming.request.headers
    this.#connection = new SharedConnection({
      clock: options.clock,
      transmit: (text, origin) => this.#transmit(text, origin),
      flow: (paused) => stream.flow(paused),
      // such a stream may carry anything besides messages
      onGarbage: () => {},
    })
    const capabilities = objectMember(incoming.message?.['params'], 'capabilities')
    this.#session = new ClientSession(capabilities, options.memory)
    this.#connection.sessions.add(this.#session)
  }

  /** Posts a client's message; the answer to a request comes on the stream. */
  post(incoming: SharedRequest): void {
    this.#restartIdleTimer()
    const { request, call, message = {}, text } = incoming
    this.#headers = request.headers
    if (isRequest(message))
      this.#connection.request(this.#session, text, call, { origin: incoming })
    else if (!this.#connection.tell(this.#session, message, text, incoming)) call.respond(202, {})
  }

  take(data: string): void {
    this.#restartIdleTimer()
    // data that cannot be handled ends this stream and no other
    if (problemWith(data, this.#connection) !== undefined) this.end()
  }

  listen(call: PendingCall): void {
    this.#restartIdleTimer()
    this.#session.listen(call, () => this.#restartIdleTimer())
  }

  /** Closes the stream and fails its calls. */
  end(error: Error = codedError('ECONNRESET')): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancelTimer()
    this.#options.onEnd()
    this.#options.stream.close()
    this.#connection.fail(error)
    void this.#options.posts.close()
  }

  /** Starts the idle time anew. */
  #restartIdleTimer(): void {
    const { clock, idleMs } = this.#options
    this.#cancelTimer()
    if (idleMs === 0 || this.#isOver) return
    this.#cancelTimer = clock.after(idleMs, () => {
      if (this.#session.isBusy || this.#connection.running > 0) this.#restartIdleTimer()
      else this.end()
    })
  }

  #transmit(text: string, origin?: SharedRequest): void {
    const { posts } = this.#options
    const headers = withoutSession(origin?.request.headers ?? this.#headers)
    if (origin !== undefined) {
      const { request, call } = origin
      const waits = this.#session.calls.has(call)
      return posts.send({ ...request, headers, body: text }, watchPost(call, waits))
    }
    const times = { headersTimeout: OWN_MS, bodyTimeout: OWN_MS }
    posts.send({ method: 'POST', headers, body: text, ...times }, {})
  }
}

/** The session id was made here, and means nothing to the server. */
function withoutSession(headers: readonly string[]): string[] {
  return headerPairs(headers)
    .filter(([name]) => name !== 'mcp-session-id')
    .flat()
}

/** The answer to the POST itself matters only when it is a refusal, or when no response is awaited. */
function watchPost(call: PendingCall, waits: boolean): UpstreamHandler {
  let refusal: { status: number; headers: object; body: string } | undefined
  let inner: UpstreamController | undefined
  let drain: Drain | undefined
  return {
    onRequestStart(controller) {
      inner = controller
      const before = call.onOver
      call.onOver = (end) => {
        if (end !== 'answered') inner?.abort(new Error('the client left'))
        before(end)
      }
    },
    onResponseStart(controller, status, headers) {
      if (status >= 300) refusal = { status, headers, body: '' }
      else {
        // the response comes on the stream, not in this body
        drain = new Drain(controller, headers['content-type'])
        if (!waits) call.respond(202, {})
      }
    },
    onResponseData(_controller, chunk) {
      drain?.take(chunk)
      if (refusal !== undefined && refusal.body.length < MAX_REFUSAL_BYTES) refusal.body += chunk
    },
    onResponseEnd() {
      inner = undefined
      if (refusal === undefined) return
      const { status, headers, body } = refusal
      call.respond(status, headers as Record<string, string>, body)
    },
    onResponseError(_controller, error) {
      // once the POST was accepted, the response comes on the stream
      if (drain === undefined) call.fail(error)
    },
  }
}
