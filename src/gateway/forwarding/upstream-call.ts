import { type CredentialHeaders, NotConnectedError } from '../../auth/credentials/credential.js'
import { JSON_TYPE } from '../../mcp/headers.js'
import type { Awaited } from '../../mcp/incoming.js'
import { EventSplitter } from '../../mcp/sse.js'
import type { UpstreamController, UpstreamHandler } from '../../upstream/upstream.js'
import { DRAIN_MS, Drain, headerOf } from '../../upstream/upstream.js'
import { ANSWER_PROBLEMS, describeNetworkError, noRoom } from '../../upstream/upstream-error.js'
import { messageOf } from '../../util/errors.js'
import { type FailureCause, isServerAway } from '../../util/failure.js'
import { ownMember } from '../../util/json.js'
import type { TraceSpan } from '../../util/span.js'
import { isStandInSession } from '../connecting/in-place.js'
import { describeRefusal, noteState, type TargetState } from '../target.js'
import { AnswerBody, classifyRefusal } from './answer-check.js'
import { oneValue, READ, readHead } from './answer-head.js'
import { keepingLists } from './kept-answers.js'
import { credentialFailure, heldBack, type TargetFailure } from './target-failure.js'
import type { AnswerListener, HeaderFields, UpstreamSend } from './upstream-send.js'
import { expectedOf } from './upstream-send.js'

/** How many refused credentials are replaced within one exchange. */
const MAX_REPLACED = 2

const NO_HEAD: HeaderFields = {}

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
  #head = NO_HEAD
  #splitter: EventSplitter | undefined
  readonly #body: AnswerBody
  #drain: Drain | undefined
  #span: TraceSpan | undefined
  /** The answer does not come from the target. */
  isInPlace = false

  constructor(send: UpstreamSend, listener: AnswerListener) {
    this.#send = send
    send.target.use.calls += 1
    const { standIn } = send.target
    this.#listener = standIn === undefined ? listener : keepingLists(send, standIn, listener, this)
    this.#body = new AnswerBody(send, this.#listener)
  }

  get awaited(): Awaited {
    return this.#body
  }

  /** Sends the request once its credential is there. */
  start(): void {
    const { target, caller, span } = this.#send
    this.#span = span?.start('credential')
    try {
      const credential = target.credential.headers(caller)
      if (!(credential instanceof Promise)) return this.#dispatch(credential)
      credential
        .then((ready) => this.#dispatch(ready))
        .catch((error: unknown) => this.#withoutCredential(error))
    } catch (error) {
      this.#withoutCredential(error)
    }
  }

  #withoutCredential(error: unknown): void {
    if (this.#done) return
    const { target } = this.#send
    if (target.standIn === undefined || !(error instanceof NotConnectedError)) {
      return this.#fail(credentialFailure(target.name, error))
    }
    this.isInPlace = true
    target.standIn.answer(this.#send, this, () => {
      this.isInPlace = false
      this.#controller = undefined
      this.start()
    })
  }

  /** @returns False when the request is for the target itself. */
  #answersInPlace({ headers, target, isOursAlone = false }: UpstreamSend): boolean {
    if (target.standIn === undefined) return false
    if (isStandInSession(headerOf(headers, 'mcp-session-id'))) {
      const reason = 'it has no session for this client yet'
      this.#fail({ cause: 'session_lost', target: target.name, reason })
      return true
    }
    this.isInPlace = true
    this.isInPlace = target.standIn.takes(this.#send, this, isOursAlone)
    return this.isInPlace
  }

  #dispatch(credential: CredentialHeaders): void {
    if (this.#done) return
    if (credential === this.#refused) return this.#giveUp()
    this.#endSpan()
    if (this.#answersInPlace(this.#send)) return
    this.#sent = credential
    this.#status = 0
    this.#head = NO_HEAD
    const { target, method, headers, body, isStream, timeoutMs } = this.#send
    const held = heldBack(target)
    if (held !== undefined) return this.#fail(held)
    const all = headers.slice()
    for (const name of Object.keys(credential))
      all.push(name, ownMember(credential, name) as string)
    this.#span = this.#send.span?.start(`target ${target.name}`, 'client')
    if (this.#span !== undefined) all.push(...this.#span.headers)
    const bodyTimeout = expectedOf(this.#send) === 'status' ? DRAIN_MS : timeoutMs
    const sent = target.standIn === undefined ? body : target.standIn.bodyFor(body)
    target.upstream.send(
      { method, headers: all, body: sent, isStream, headersTimeout: timeoutMs, bodyTimeout },
      this,
    )
  }

  abort(): void {
    this.#finish('cancelled')
    this.#controller?.abort(new Error('the client left'))
  }

  resume(): void {
    this.#controller?.resume()
  }

  onRequestStart(controller: UpstreamController): void {
    this.#controller = controller
    if (this.#done) controller.abort(new Error('the client left'))
  }

  onResponseStart(controller: UpstreamController, status: number, headers: HeaderFields): void {
    if (this.#isOver(controller) || status < 200) return
    this.#status = status
    this.#head = headers
    const { target } = this.#send
    const expected = expectedOf(this.#send)
    const isPlain = status === 200 && headers['content-type'] === JSON_TYPE
    const isRead = isPlain && expected === 'response' && !headers['content-encoding']
    const verdict = isRead ? READ : readHead(status, headers, expected)
    if (verdict.next === 'credential') return void this.#credentialRefused(verdict.challenge)
    this.#note(verdict.next === 'fail' && isServerAway(status) ? 'down' : 'ok')
    if (verdict.next === 'fail') {
      const { next: _next, ...failure } = verdict
      return this.#fail({ ...failure, target: target.name })
    }
    if (verdict.next === 'stream') {
      this.#splitter = new EventSplitter()
      this.#listener.streaming(this.#head)
    } else if (status < 400 && expected === 'status') {
      // a body, if there is one, answers no request
      this.#finish()
      this.#drain = new Drain(controller, headers['content-type'])
      this.#listener.accepted(status)
    }
  }

  /** An earlier try, whose credential was refused, may still report its end. */
  #isOver(controller: UpstreamController | undefined): boolean {
    return this.#done || controller !== this.#controller
  }

  onResponseData(controller: UpstreamController, chunk: Buffer): void {
    if (this.#isOver(controller)) return this.#drain?.take(chunk)
    if (this.#splitter === undefined) return this.#keep(controller, chunk)
    try {
      this.#splitter.push(chunk, (run, ends) => {
        if (!this.#done && !this.#listener.events(run, ends)) controller.pause()
      })
      if (!this.#done && !this.#body.hold(this.#splitter.pendingBytes)) this.#refuses('no room')
    } catch (error) {
      this.#invalid(`${ANSWER_PROBLEMS.brokenStream}: ${messageOf(error)}`)
    }
  }

  #keep(controller: UpstreamController, chunk: Buffer): void {
    const kept = this.#body.keep(chunk, this.#status)
    if (kept === 'pause') controller.pause()
    else if (kept !== 'more') this.#refuses(kept)
  }

  #refuses(problem: 'too large' | 'no room'): void {
    if (problem === 'no room') return this.onResponseError(this.#controller, noRoom())
    if (this.#status < 400) return this.#invalid(ANSWER_PROBLEMS.tooLarge)
    this.#endRefused(this.#body.whole())
    this.#controller?.abort(new Error('the status says enough'))
  }

  onResponseEnd(controller: UpstreamController): void {
    if (this.#isOver(controller)) return
    if (this.#splitter !== undefined || this.#body.isLarge) {
      this.#finish()
      if (this.#body.isLarge) this.#listener.largeEnded?.()
      else this.#listener.streamEnded()
      return
    }
    const body = this.#body.whole()
    if (this.#status >= 400) return this.#endRefused(body)
    if (this.#status === 200 && this.#listener.known?.(body)) return this.#finish()
    const problem = this.#body.pass(this.#status, this.#head)
    if (problem === undefined) this.#finish()
    else this.#invalid(problem)
  }

  #invalid(reason: string): void {
    this.#fail({ cause: 'invalid_answer', target: this.#send.target.name, reason })
  }

  #endSpan(error?: string): void {
    this.#span?.end({ 'http.response.status_code': this.#status || undefined }, error)
    this.#span = undefined
  }

  #finish(error?: string): void {
    if (!this.#done) this.#send.target.use.calls -= 1
    this.#done = true
    this.#endSpan(error)
    this.#body.clear()
  }

  #endRefused(body: Buffer): void {
    const verdict = classifyRefusal(this.#status, body, this.#send, this.#body)
    const { cause, answer } = verdict
    const status = this.#status
    if (cause !== undefined) {
      const more = answer && { answer: { status, body: answer } }
      return this.#fail({ ...more, cause, target: this.#send.target.name, reason: verdict.reason })
    }
    // one that cannot be handled is still to be answered
    this.#listener.answer(status, verdict.answer, this.#head)
    this.#finish()
  }

  /**
   * Tries again when there is a better credential now. The credential is consulted after each refusal,
   * even the last, since that may mean that somebody has to sign in.
   */
  async #credentialRefused(challenge: string | undefined): Promise<void> {
    const { target, caller } = this.#send
    target.breaker?.answered()
    const status = this.#status
    const refused = this.#controller
    this.#refusals += 1
    this.#refused = this.#sent
    this.#controller = undefined
    this.#endSpan('refused_credential')
    refused?.abort(new Error('the credential was refused'))
    try {
      const refusal = { status: status as 401 | 403, challenge }
      const better = status !== 407 && (await target.credential.refused(caller, refusal))
      if (this.#done) return
      if (!better || this.#refusals > MAX_REPLACED) return this.#giveUp()
      this.start()
    } catch (error) {
      this.#fail(credentialFailure(target.name, error))
    }
  }

  #giveUp(): void {
    const reason = describeRefusal(this.#send.target, this.#status)
    this.#fail({ cause: 'refused_credential', target: this.#send.target.name, reason })
  }

  onResponseError(controller: UpstreamController | undefined, error: Error): void {
    if (this.#isOver(controller)) return
    const { cause, reason, httpStatus } = describeNetworkError(error)
    if (httpStatus !== undefined) this.#status = httpStatus
    if (cause === 'unreachable' || cause === 'timeout') this.#note('down', cause)
    const retryAfter = httpStatus === 503 ? { retryAfter: '5' } : undefined
    this.#fail({ cause, target: this.#send.target.name, reason, ...retryAfter })
  }

  #note(state: TargetState, cause?: FailureCause): void {
    if (!this.isInPlace) noteState(this.#send.target, state, cause)
  }

  #fail(failure: TargetFailure): void {
    if (this.#done) return
    this.#finish(failure.cause)
    const { target } = this.#send
    // a caller's own credential says nothing of others
    const { perCaller, tellsCaller } = target.credential
    if (failure.cause === 'refused_credential' && !perCaller && !tellsCaller) {
      this.#note('refused_credential')
    }
    if (this.#status >= 300) failure.httpStatus = this.#status
    const retryAfter = oneValue(this.#head['retry-after'])
    if (retryAfter !== undefined) failure.retryAfter = retryAfter
    this.#listener.failed(failure)
    this.#controller?.abort(new Error(failure.reason))
  }
}
