import type { CredentialHeaders } from '../auth/credential.js'
import { describeNetworkError } from '../http/failure.js'
import type { UpstreamController, UpstreamHandler } from '../http/pool.js'
import { EventSplitter } from '../mcp/sse.js'
import { messageOf, ProxyError } from '../util/errors.js'
import { checkAnswer, judgeRefusal } from './answer-check.js'
import { expectationOf, type HeaderFields, judgeHead, oneValue } from './answer-head.js'
import { CREDENTIAL_CAUSES, type FailureCause, type TargetFailure } from './failure.js'
import { noteRefusal, refusalOf } from './target.js'
import type { AnswerHead, AnswerListener, UpstreamSend } from './upstream-send.js'

const MAX_JSON_BYTES = 64 * 1024 * 1024
const MAX_ERROR_BYTES = 64 * 1024
/** So often a credential may be replaced within one exchange, each time by one that was refused too. */
const MAX_REPLACED = 2
/** Node sends a short string together with the head, which is quicker than a buffer behind it. */
const MAX_TEXT_BYTES = 4096

/** What stands before a server that cannot be reached answers so; the server itself is up. */
const GATEWAY_STATUS: ReadonlySet<number> = new Set([502, 503, 504])

/** One HTTP exchange with a target, from its credential to the end of its answer. */
export class UpstreamCall implements UpstreamHandler {
  readonly #send: UpstreamSend
  readonly #listener: AnswerListener
  #controller: UpstreamController | undefined
  #done = false
  #refusals = 0
  #refused: CredentialHeaders | undefined
  #sent: CredentialHeaders | undefined
  #status = 0
  #retryAfter: string | undefined
  #head: AnswerHead = { sessionId: undefined }
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
    this.#done = true
    this.#controller?.abort(new Error('the client left'))
  }

  resume(): void {
    this.#controller?.resume()
  }

  #dispatch(credential: CredentialHeaders): void {
    if (this.#done) return
    if (credential === this.#refused) return this.#giveUp()
    this.#sent = credential
    this.#status = 0
    this.#retryAfter = undefined
    const { target, method, headers, body, isStream, timeoutMs } = this.#send
    const all = headers.slice()
    for (const [name, value] of Object.entries(credential)) all.push(name, value)
    const times = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs }
    target.upstream.send({ method, headers: all, body, isStream, ...times }, this)
  }

  #refuse(error: unknown): void {
    const known = error instanceof ProxyError
    const cause = (known && CREDENTIAL_CAUSES[error.code]) || 'refused_credential'
    this.#fail(cause, known ? error.message : `no credential: ${messageOf(error)}`)
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller
    if (this.#done) controller.abort(new Error('the client left'))
  }

  onResponseStart(controller: UpstreamController, status: number, headers: HeaderFields): void {
    if (this.#isOver(controller) || status < 200) return
    this.#status = status
    this.#head = {
      sessionId: oneValue(headers['mcp-session-id']),
      cookies: headers['set-cookie'],
    }
    this.#retryAfter = oneValue(headers['retry-after'])
    const verdict = judgeHead(status, headers, expectationOf(this.#send))
    if (verdict.next === 'credential') return void this.#credentialRefused(verdict.challenge)
    this.#send.target.state = GATEWAY_STATUS.has(status) ? 'down' : 'ok'
    if (verdict.next === 'fail') return this.#fail(verdict.cause, verdict.reason)
    if (verdict.next === 'stream') {
      this.#splitter = new EventSplitter()
      this.#listener.streaming(this.#head)
    }
  }

  /** A first try whose credential was refused may still report its end. */
  #isOver(controller: UpstreamController | undefined): boolean {
    return this.#done || controller !== this.#controller
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
      return this.#listener.accepted(this.#status)
    }
    this.#done = this.#status === 200 && this.#listener.known?.(body) === true
    if (this.#done) return
    const text = body.length <= MAX_TEXT_BYTES ? body.toString('utf8') : undefined
    const problem = checkAnswer(body, id, text)
    if (problem !== undefined) return this.#fail('invalid_answer', problem)
    this.#done = true
    this.#listener.answer(this.#status, body, this.#head, text)
  }

  #endRefused(body: Buffer): void {
    const verdict = judgeRefusal(this.#status, body, this.#send)
    if (verdict.cause !== undefined)
      return this.#fail(verdict.cause, verdict.reason, verdict.answer)
    this.#done = true
    this.#listener.answer(this.#status, verdict.answer, this.#head)
  }

  /**
   * Tries again where the credential says that it has a better one now. It is told of each refusal,
   * for the last one may mean that somebody has to sign in.
   */
  async #credentialRefused(challenge: string | undefined): Promise<void> {
    const { target, caller } = this.#send
    const status = this.#status
    const refused = this.#controller
    this.#refusals += 1
    this.#refused = this.#sent
    this.#controller = undefined
    refused?.abort(new Error('the credential was refused'))
    try {
      const refusal = { status: status as 401 | 403, challenge }
      const better = status !== 407 && (await target.credential.refused(caller, refusal))
      if (this.#done) return
      if (!better || this.#refusals > MAX_REPLACED) return this.#giveUp()
      this.start()
    } catch (error) {
      this.#refuse(error)
    }
  }

  #giveUp(): void {
    this.#fail('refused_credential', refusalOf(this.#send.target, this.#status))
  }

  onResponseError(controller: UpstreamController | undefined, error: Error): void {
    if (this.#isOver(controller)) return
    const { cause, reason, httpStatus } = describeNetworkError(error)
    if (httpStatus !== undefined) this.#status = httpStatus
    if (cause === 'unreachable' || cause === 'timeout') this.#send.target.state = 'down'
    this.#fail(cause, reason)
  }

  #fail(cause: FailureCause, reason: string, answer?: Buffer): void {
    if (this.#done) return
    this.#done = true
    if (cause === 'refused_credential') noteRefusal(this.#send.target)
    const failure: TargetFailure = { cause, target: this.#send.target.name, reason }
    if (this.#status >= 300) failure.httpStatus = this.#status
    if (this.#retryAfter !== undefined) failure.retryAfter = this.#retryAfter
    if (answer !== undefined) failure.answer = { status: this.#status, body: answer }
    this.#listener.failed(failure)
    this.#controller?.abort(new Error(reason))
  }
}
