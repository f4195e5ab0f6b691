import type { Caller, CredentialHeaders } from '../auth/credential.js'
import { describeNetworkError } from '../http/failure.js'
import type { UpstreamController, UpstreamHandler } from '../http/pool.js'
import type { RequestId } from '../mcp/jsonrpc.js'
import { EventSplitter } from '../mcp/sse.js'
import { messageOf, ProxyError } from '../util/errors.js'
import { checkAnswer, checkRefusal } from './answer-check.js'
import type { FailureCause, TargetFailure } from './failure.js'
import type { Target } from './target.js'

const MAX_JSON_BYTES = 64 * 1024 * 1024
const MAX_ERROR_BYTES = 64 * 1024

/** What we send to a target. */
export interface UpstreamSend {
  target: Target
  caller: Caller
  method: 'POST' | 'GET' | 'DELETE'
  /** Names and values in turn, without the credential. */
  headers: readonly string[]
  body?: string | Buffer
  /** The id that the answer must carry; absent for notifications, GET and DELETE. */
  id?: RequestId
  /** Whether the request carries a session of the target. */
  inSession: boolean
  /** Milliseconds without a sign of life after which a target is given up; 0 for streams. */
  timeoutMs: number
}

/** Response headers of the target that matter to us. */
export interface AnswerHead {
  sessionId: string | undefined
}

/** Gets exactly one of `answer`, `accepted`, `failed`, or `streaming` and then its events. */
export interface AnswerListener {
  /** A whole, checked JSON answer: 200, or a JSON-RPC error under its 4xx status. */
  answer(status: number, body: Buffer, head: AnswerHead): void
  /** A notification or DELETE was taken. */
  accepted(status: number): void
  streaming(head: AnswerHead): void
  /** Whole events; returns false to be paused. */
  events(run: Buffer, ends: readonly number[]): boolean
  streamEnded(): void
  /** Comes instead of an answer, or ends a stream. */
  failed(failure: TargetFailure): void
}

/** One HTTP exchange with a target, from its credential to the end of its answer. */
export class UpstreamCall implements UpstreamHandler {
  readonly #send: UpstreamSend
  readonly #listener: AnswerListener
  #controller: UpstreamController | undefined
  #done = false
  #triedAgain = false
  #status = 0
  #head: AnswerHead = { sessionId: undefined }
  #retryAfter: string | undefined
  #body: Buffer[] = []
  #bodyBytes = 0
  #splitter: EventSplitter | undefined

  constructor(send: UpstreamSend, listener: AnswerListener) {
    this.#send = send
    this.#listener = listener
  }

  start(): void {
    const { credential } = this.#send.target
    try {
      const headers = credential.headers(this.#send.caller)
      if (!(headers instanceof Promise)) this.#dispatch(headers)
      else headers.then((ready) => this.#dispatch(ready)).catch((error) => this.#refuse(error))
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** Gives the exchange up; the listener hears nothing more. */
  abort(): void {
    if (this.#done) return
    this.#done = true
    this.#controller?.abort(new Error('the client left'))
  }

  resume(): void {
    this.#controller?.resume()
  }

  #dispatch(credential: CredentialHeaders): void {
    if (this.#done) return
    const { target, method, headers, body, timeoutMs } = this.#send
    const all = [...headers]
    for (const name in credential) all.push(name, credential[name] as string)
    const request = { method, headers: all, headersTimeout: timeoutMs, bodyTimeout: timeoutMs }
    target.upstream.send(body === undefined ? request : { ...request, body }, this)
  }

  #refuse(error: unknown): void {
    const known = error instanceof ProxyError
    const cause =
      known && error.code === 'SIGN_IN_REQUIRED' ? 'sign_in_required' : 'refused_credential'
    this.#fail(cause, known ? error.message : `no credential: ${messageOf(error)}`)
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller
    if (this.#done) controller.abort(new Error('the client left'))
  }

  onResponseStart(
    controller: UpstreamController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    if (this.#isOver(controller) || status < 200) return
    this.#status = status
    this.#head = { sessionId: one(headers['mcp-session-id']) }
    this.#retryAfter = one(headers['retry-after'])
    this.#send.target.state = status < 500 ? 'ok' : 'down'
    const type = one(headers['content-type'])?.split(';', 1)[0]?.trim().toLowerCase()
    const encoding = one(headers['content-encoding'])
    if (status >= 300 && status < 400) return this.#fail('http_status', 'it redirects elsewhere')
    if (status === 401 || status === 403 || status === 407) {
      return this.#credentialRefused(one(headers['www-authenticate']))
    }
    if (status === 429 || status >= 500) return this.#failStatus()
    if (encoding !== undefined && encoding !== 'identity') {
      return this.#fail('invalid_answer', 'its answer is compressed though nobody asked for it')
    }
    if (status >= 400) return
    if (this.#send.method === 'DELETE' || (this.#send.method === 'POST' && !this.#expectsAnswer)) {
      return
    }
    if (type === 'text/event-stream') {
      this.#splitter = new EventSplitter()
      this.#listener.streaming(this.#head)
    } else if (type !== 'application/json' || !this.#expectsAnswer) {
      this.#fail('invalid_answer', `its answer is ${describeType(type, status)}, not MCP`)
    }
  }

  /** A first try whose credential was refused may still report its end. */
  #isOver(controller: UpstreamController | undefined): boolean {
    return this.#done || controller !== this.#controller
  }

  get #expectsAnswer(): boolean {
    return this.#send.id !== undefined
  }

  onResponseData(controller: UpstreamController, chunk: Buffer): void {
    if (this.#isOver(controller)) return
    if (this.#splitter === undefined) return this.#keep(chunk)
    try {
      this.#splitter.push(chunk, (run, ends) => {
        if (!this.#done && !this.#listener.events(run, ends)) controller.pause()
      })
    } catch (error) {
      this.#fail('invalid_answer', `its event stream cannot be read: ${messageOf(error)}`)
    }
  }

  #keep(chunk: Buffer): void {
    this.#bodyBytes += chunk.length
    const limit = this.#status === 200 ? MAX_JSON_BYTES : MAX_ERROR_BYTES
    if (this.#bodyBytes > limit) this.#fail('invalid_answer', 'its answer is too large')
    else this.#body.push(chunk)
  }

  onResponseEnd(controller: UpstreamController): void {
    if (this.#isOver(controller)) return
    if (this.#splitter !== undefined) {
      this.#done = true
      this.#listener.streamEnded()
      return
    }
    const body = this.#body.length === 1 ? (this.#body[0] as Buffer) : Buffer.concat(this.#body)
    if (this.#status >= 400) return this.#endRefused(body)
    const { id } = this.#send
    if (id === undefined) {
      this.#done = true
      this.#listener.accepted(this.#status)
      return
    }
    const problem = checkAnswer(body, id)
    if (problem !== undefined) return this.#fail('invalid_answer', problem)
    this.#done = true
    this.#listener.answer(this.#status, body, this.#head)
  }

  /** A 4xx is the target's own JSON-RPC error, a lost session, or no MCP at all. */
  #endRefused(body: Buffer): void {
    const { id, inSession } = this.#send
    const error = id === undefined ? undefined : checkRefusal(body, id)
    if (this.#status === 404 && inSession) {
      return this.#fail('session_lost', 'it no longer knows the session')
    }
    if (this.#status === 400 && !inSession && error?.protocol !== true) {
      return this.#fail('session_required', `it answered HTTP 400`, error?.bytes)
    }
    if (error === undefined) return this.#failStatus()
    this.#done = true
    this.#listener.answer(this.#status, error.bytes, this.#head)
  }

  /** Tries once more where the credential says that it has a better one now. */
  #credentialRefused(challenge: string | undefined): void {
    const { target, caller } = this.#send
    const status = this.#status
    const giveUp = () =>
      this.#fail('refused_credential', `it refused its credential (HTTP ${status})`)
    if (this.#triedAgain || status === 407) return giveUp()
    this.#triedAgain = true
    const refused = this.#controller
    this.#controller = undefined
    refused?.abort(new Error('the credential was refused'))
    const again = (better: boolean) => {
      if (this.#done) return
      if (better) this.start()
      else giveUp()
    }
    try {
      const better = target.credential.refused(caller, { status: status as 401 | 403, challenge })
      if (!(better instanceof Promise)) again(better)
      else better.then(again).catch((error: unknown) => this.#refuse(error))
    } catch (error) {
      this.#refuse(error)
    }
  }

  onResponseError(controller: UpstreamController | undefined, error: Error): void {
    if (this.#isOver(controller)) return
    const { cause, reason } = describeNetworkError(error)
    if (cause === 'unreachable' || cause === 'timeout') this.#send.target.state = 'down'
    this.#fail(cause, reason)
  }

  #failStatus(): void {
    this.#fail('http_status', `it answered HTTP ${this.#status}`)
  }

  #fail(cause: FailureCause, reason: string, answer?: Buffer): void {
    if (this.#done) return
    this.#done = true
    const failure: TargetFailure = { cause, target: this.#send.target.name, reason }
    if (this.#status >= 300) failure.httpStatus = this.#status
    if (this.#retryAfter !== undefined) failure.retryAfter = this.#retryAfter
    if (answer !== undefined) failure.answer = { status: this.#status, body: answer }
    this.#listener.failed(failure)
    this.#controller?.abort(new Error(reason))
  }
}

function one(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

function describeType(type: string | undefined, status: number): string {
  if (status === 202) return 'HTTP 202 without a message'
  return type === undefined ? 'without a content type' : JSON.stringify(type.slice(0, 60))
}
