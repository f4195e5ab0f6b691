import { JSON_TYPE, mediaTypeOf, STREAM_TYPE } from '../mcp/headers.js'
import { type Awaited, errorIn, incomingOf, readIncoming } from '../mcp/incoming.js'
import { MAX_MESSAGE_BYTES, type RequestId } from '../mcp/jsonrpc.js'
import { type EventFields, EventSplitter } from '../mcp/sse.js'
import { type JsonObject, ownMember } from '../util/json.js'
import { HeldBytes, type MemoryBudget } from '../util/memory-budget.js'
import type { Clock } from '../util/runtime.js'
import {
  MAX_REFUSAL_BYTES,
  type ResponseHead,
  type Upstream,
  type UpstreamController,
  type UpstreamHandler,
  type UpstreamRequest,
} from './upstream.js'
import {
  ANSWER_PROBLEMS,
  codedError,
  describeNetworkError,
  type NetworkFailure,
  noRoom,
  UpstreamError,
  unusableAnswer,
} from './upstream-error.js'

/**
 * What comes of one request to a target. Exactly one of `responded`, `refused`, `endedEarly` and
 * `failed` is last.
 */
export interface AnswerReaderListener {
  started?(controller: UpstreamController): void
  head?(status: number, headers: ResponseHead): void
  /** The answer comes as an event stream. */
  streaming?(): void
  /** A message that precedes the response, or goes without one. */
  notified?(text: string): void
  /** A comment on the stream, which keeps connections open. */
  kept?(bytes: Buffer): void
  /** The JSON-RPC response, under a status of success. */
  responded(text: string): void
  /**
   * A status of failure, or an answer without a response to this request.
   *
   * @param error The JSON-RPC error in it, if there is one, under the id of the request.
   */
  refused(status: number, headers: ResponseHead, body: Buffer, error: string | undefined): void
  /** The stream ended before the response; without this method the request has failed. */
  endedEarly?(): void
  failed(error: Error): void
}

/** Reads the answer to one request, in a JSON body or on an event stream. */
export class AnswerReader implements UpstreamHandler, Awaited {
  readonly id: RequestId | undefined
  readonly #listener: AnswerReaderListener
  #controller: UpstreamController | undefined
  #splitter: EventSplitter | undefined
  #status = 0
  #head: ResponseHead = {}
  #body: Buffer[] = []
  #bytes = 0
  readonly #held: HeldBytes
  #isOver = false
  #reason: Error | undefined

  /**
   * @param id The id of the request, which its response must carry; without it none is awaited.
   * @param memory Counts what is kept of an answer that is not complete.
   */
  constructor(id: RequestId | undefined, listener: AnswerReaderListener, memory?: MemoryBudget) {
    this.id = id
    this.#held = new HeldBytes(memory)
    this.#listener = listener
  }

  idText(): string {
    return JSON.stringify(this.id)
  }

  /** Gives the request up at the target; the listener hears nothing more. */
  abort(reason: Error): void {
    if (this.#isOver) return
    this.#over()
    this.#reason = reason
    this.#controller?.abort(reason)
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller
    if (this.#reason !== undefined) controller.abort(this.#reason)
    else this.#listener.started?.(controller)
  }

  onResponseStart(_controller: UpstreamController, status: number, headers: ResponseHead): void {
    if (this.#isOver || status < 200) return
    this.#status = status
    this.#head = headers
    this.#listener.head?.(status, headers)
    if (this.#isOver || !this.#isOk || mediaTypeOf(headers['content-type']) !== STREAM_TYPE) return
    this.#splitter = new EventSplitter()
    this.#listener.streaming?.()
  }

  get #isOk(): boolean {
    return this.#status < 300
  }

  onResponseData(_controller: UpstreamController, chunk: Buffer): void {
    if (this.#isOver) return
    if (this.#splitter === undefined) return this.#keep(chunk)
    try {
      this.#splitter.each(chunk, (fields, bytes) => this.#event(fields, bytes))
      this.#hold(this.#splitter.pendingBytes)
    } catch (error) {
      // its listener threw at the end, and knows
      if (this.#isOver) throw error
      this.#fail(ANSWER_PROBLEMS.brokenStream)
    }
  }

  #keep(chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#isOk && this.#bytes > MAX_MESSAGE_BYTES) return this.#fail(ANSWER_PROBLEMS.tooLarge)
    this.#body.push(chunk)
    if (this.#isOk || this.#bytes <= MAX_REFUSAL_BYTES) return this.#hold(this.#bytes)
    this.#refuse(undefined)
    this.#controller?.abort(new Error('the status says enough'))
  }

  #event(fields: EventFields, bytes: Buffer): void {
    if (this.#isOver) return
    const { data, id, retry } = fields
    if (!data) {
      // such a stream is not resumed, whatever the server says of event ids
      if (id === undefined && retry === undefined) this.#listener.kept?.(bytes)
      return
    }
    for (const { kind, text } of incomingOf(fields, this)) {
      if (this.#isOver) return
      if (kind === 'message') this.#listener.notified?.(text)
      else if (kind === 'response') this.#respond(text)
      else this.#fail(ANSWER_PROBLEMS.foreign)
    }
  }

  onResponseEnd(): void {
    if (this.#isOver) return
    if (this.#splitter !== undefined) return this.#endStream()
    const text = Buffer.concat(this.#body).toString('utf8')
    if (!this.#isOk) {
      return this.#refuse(this.id === undefined ? undefined : errorIn(text, this.idText()))
    }
    const isJson = mediaTypeOf(this.#head['content-type']) === JSON_TYPE
    const found = isJson ? readIncoming(text, this) : []
    const response = found.find(({ kind }) => kind !== 'message')
    if (response?.kind !== 'response') return this.#refuse(undefined)
    for (const { kind, text } of found) {
      if (kind !== 'message') break
      this.#listener.notified?.(text)
    }
    this.#respond(response.text)
  }

  #endStream(): void {
    const listener = this.#listener
    this.#last(() => {
      if (listener.endedEarly !== undefined) return listener.endedEarly()
      listener.failed(new UpstreamError('cut_off', ANSWER_PROBLEMS.endedEarly))
    })
  }

  #respond(text: string): void {
    this.#last(() => this.#listener.responded(text))
  }

  /** Tells the last thing. A listener that throws at it would never hear of an end otherwise. */
  #last(tell: () => void): void {
    this.#over()
    try {
      tell()
    } catch (error) {
      this.#listener.failed(unusableAnswer(error))
      throw error
    }
  }

  #refuse(error: string | undefined): void {
    const body = Buffer.concat(this.#body)
    this.#last(() => this.#listener.refused(this.#status, this.#head, body, error))
  }

  onResponseError(_controller: UpstreamController, error: Error): void {
    if (this.#isOver) return
    this.#over()
    this.#listener.failed(error)
  }

  #fail(problem: string | UpstreamError): void {
    const error =
      typeof problem === 'string' ? new UpstreamError('invalid_answer', problem) : problem
    this.#over()
    this.#listener.failed(error)
    this.#controller?.abort(error)
  }

  /** Counts what is kept, and gives the answer up where there is no room for it. */
  #hold(bytes: number): void {
    if (!this.#isOver && !this.#held.set(bytes)) this.#fail(noRoom())
  }

  #over(): void {
    this.#isOver = true
    this.#body = []
    this.#held.set(0)
  }
}

/** An HTTP answer that was read as far as it matters. */
export interface HttpAnswer {
  readonly status: number
  /** @param name In lower case. */
  header(name: string): string | undefined
  /** The body, or its beginning; '' of a stream. */
  readonly text: string
  /** The JSON-RPC response to the request, if one came. */
  readonly message: JsonObject | undefined
}

export type ReadResult =
  | { readonly kind: 'answer'; readonly answer: HttpAnswer }
  | { readonly kind: 'failed'; readonly failure: NetworkFailure }

/**
 * Sends one request and reads until the response with its id is there, be it in a JSON body or on an
 * event stream. Never rejects.
 *
 * @param id Of the JSON-RPC request; `undefined` reads any answer that is no stream to its end.
 * @param timeoutMs For the whole exchange.
 */
export function readAnswer(
  { clock, upstream }: { clock: Pick<Clock, 'after'>; upstream: Upstream },
  request: Pick<UpstreamRequest, 'method' | 'headers' | 'body'>,
  id: RequestId | undefined,
  timeoutMs: number,
): Promise<ReadResult> {
  return new Promise((resolve) => {
    let controller: UpstreamController | undefined
    let status = 0
    let headers: ResponseHead = {}
    const finish = (result: ReadResult) => {
      cancel()
      resolve(result)
    }
    const fail = (failure: NetworkFailure) => finish({ kind: 'failed', failure })
    const header = (name: string) => {
      const value = ownMember(headers, name)
      return Array.isArray(value) ? value.join(', ') : value
    }
    const answer = (text: string, message?: string) => {
      const parsed = message === undefined ? undefined : (JSON.parse(message) as JsonObject)
      finish({ kind: 'answer', answer: { status, header, text, message: parsed } })
    }
    const isStream = () => mediaTypeOf(headers['content-type']) === STREAM_TYPE
    const reader: AnswerReader = new AnswerReader(id, {
      started(started) {
        controller = started
      },
      head(code, fields) {
        status = code
        headers = fields
        // nothing is awaited behind the head of a notification's answer, or of a stream
        if (id !== undefined || !(isStream() || (request.method === 'POST' && code < 300))) return
        answer('')
        reader.abort(codedError('ABORTED'))
      },
      responded(text) {
        answer(isStream() ? '' : text, text)
        // a stream may stay open behind the response
        if (isStream()) controller?.abort(codedError('ABORTED'))
      },
      refused: (_status, _headers, body, error) => answer(body.toString('utf8'), error),
      endedEarly: () => answer(''),
      failed: (error) => fail(describeNetworkError(error)),
    })
    const cancel = clock.after(timeoutMs, () => {
      const what = status === 0 ? 'it did not answer' : 'its answer was not complete'
      fail({ cause: 'timeout', reason: `${what} within ${timeoutMs / 1000} s` })
      reader.abort(codedError('ABORTED'))
    })
    upstream.send({ ...request, headersTimeout: 0, bodyTimeout: 0 }, reader)
  })
}
