import type { CredentialHeaders } from '../../auth/credentials/credential.js'
import type { Awaited } from '../../mcp/incoming.js'
import { EventSplitter } from '../../mcp/sse.js'
import { ANSWER_PROBLEMS } from '../../upstream/answer-limits.js'
import {
  DRAIN_MS,
  Drain,
  type UpstreamController,
  type UpstreamHandler,
} from '../../upstream/upstream.js'
import { describeNetworkError, noRoom } from '../../upstream/upstream-error.js'
import { messageOf } from '../../util/errors.js'
import { type FailureCause, isServerAway } from '../../util/failure.js'
import { ownMember } from '../../util/json.js'
import { describeRefusal, noteRefusal } from '../target.js'
import { AnswerBody } from './answer-body.js'
import { classifyRefusal } from './answer-check.js'
import { expectationOf, type HeaderFields, oneValue, readHead } from './answer-head.js'
import { credentialFailure, type TargetFailure } from './target-failure.js'
import type { AnswerListener, TargetAnswerHead, UpstreamSend } from './upstream-send.js'

/** How many refused credentials are replaced within one exchange. */
const MAX_REPLACED = 2

const RETRY_SECONDS = '5'

/** One HTTP exchange with a target, from its credential to the end of its answer. */
export class UpstreamCall implements CredentialUser {
  readonly #send: UpstreamSend
  readonly #listener: AnswerListener
  #controller: UpstreamController | undefined
  #done = false
  #refusals = 0
  #refused: CredentialHeaders | undefined
  #sent: CredentialHeaders | undefined
  #status = 0
  #retryAfter: string | undefined
  #head: TargetAnswerHead = { sessionId: undefined }
  #splitter: EventSplitter | undefined
  readonly #body: AnswerBody
  #drain: Drain | undefined

  constructor(send: UpstreamSend, listener: AnswerListener) {
    this.#send = send
    this.#listener = listener
    this.#body = new AnswerBody(send, listener)
  }

  get awaited(): Awaited {
    return this.#body
  }

  start(): void {
    sendWithCredential(this.#send, this)
  }

  abort(): void {
    this.#finish()
    this.#controller?.abort(new Error('the client left'))
  }

  resume(): void {
    this.#controller?.resume()
  }

  takes(credential: CredentialHeaders): boolean {
    if (this.#done) return false
    if (credential === this.#refused) {
      this.#giveUp()
      return false
    }
    this.#sent = credential
    this.#status = 0
    this.#retryAfter = undefined
    return true
  }

  /** There is no credential. */
  refuse(error: unknown): void {
    const { cause, reason, need } = credentialFailure(this.#send.target.name, error)
    this.#fail(cause, reason, need && { need })
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
    const expected = expectationOf(this.#send)
    const verdict = readHead(status, headers, expected)
    if (verdict.next === 'credential') return void this.#credentialRefused(verdict.challenge)
    if (verdict.next === 'fail') {
      this.#send.target.state = isServerAway(status) ? 'down' : 'ok'
      return this.#fail(verdict.cause, verdict.reason, verdict.more)
    }
    this.#send.target.state = 'ok'
    if (verdict.next === 'stream') {
      this.#splitter = new EventSplitter()
      this.#listener.streaming(this.#head)
    } else if (status < 400 && expected === 'status') {
      // a body, if there is one, answers no request
      this.#done = true
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
      this.#fail('invalid_answer', `${ANSWER_PROBLEMS.brokenStream}: ${messageOf(error)}`)
    }
  }

  #keep(controller: UpstreamController, chunk: Buffer): void {
    const kept = this.#body.keep(chunk, this.#status)
    if (kept === 'pause') controller.pause()
    else if (kept !== 'more') this.#refuses(kept)
  }

  #refuses(problem: 'too large' | 'no room'): void {
    if (problem === 'too large') return this.#refuseLarge()
    this.onResponseError(this.#controller, noRoom())
  }

  #refuseLarge(): void {
    if (this.#status < 400) return this.#fail('invalid_answer', ANSWER_PROBLEMS.tooLarge)
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
    else this.#fail('invalid_answer', problem)
  }

  #finish(): void {
    this.#done = true
    this.#body.clear()
  }

  #endRefused(body: Buffer): void {
    const verdict = classifyRefusal(this.#status, body, this.#send, this.#body)
    const { cause, answer } = verdict
    if (cause !== undefined) {
      return this.#fail(
        cause,
        verdict.reason,
        answer && { answer: { status: this.#status, body: answer } },
      )
    }
    this.#finish()
    this.#listener.answer(this.#status, verdict.answer, this.#head)
  }

  /**
   * Tries again when there is a better credential now. The credential is asked after each refusal,
   * even the last, since that may mean that somebody has to sign in.
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
      this.refuse(error)
    }
  }

  #giveUp(): void {
    this.#fail('refused_credential', describeRefusal(this.#send.target, this.#status))
  }

  onResponseError(controller: UpstreamController | undefined, error: Error): void {
    if (this.#isOver(controller)) return
    const { cause, reason, httpStatus } = describeNetworkError(error)
    if (httpStatus !== undefined) this.#status = httpStatus
    if (httpStatus === 503) this.#retryAfter ??= RETRY_SECONDS
    if (cause === 'unreachable' || cause === 'timeout') this.#send.target.state = 'down'
    this.#fail(cause, reason)
  }

  #fail(cause: FailureCause, reason: string, more: Partial<TargetFailure> = {}): void {
    if (this.#done) return
    this.#finish()
    if (cause === 'refused_credential') noteRefusal(this.#send.target)
    const failure: TargetFailure = { cause, target: this.#send.target.name, reason, ...more }
    if (this.#status >= 300) failure.httpStatus = this.#status
    if (this.#retryAfter !== undefined) failure.retryAfter = this.#retryAfter
    this.#listener.failed(failure)
    this.#controller?.abort(new Error(reason))
  }
}

/** Sends a request once its credential is there. */
interface CredentialUser extends UpstreamHandler {
  /** Takes the credential; returns whether the request is still to be sent. */
  takes(credential: CredentialHeaders): boolean
  /** There is no credential. */
  refuse(error: unknown): void
}

/** Sends a request to a target with the caller's credential. */
function sendWithCredential(send: UpstreamSend, user: CredentialUser): void {
  try {
    const headers = send.target.credential.headers(send.caller)
    if (!(headers instanceof Promise)) dispatch(send, user, headers)
    else {
      headers
        .then((ready) => dispatch(send, user, ready))
        .catch((error: unknown) => user.refuse(error))
    }
  } catch (error) {
    user.refuse(error)
  }
}

function dispatch(send: UpstreamSend, user: CredentialUser, credential: CredentialHeaders): void {
  if (!user.takes(credential)) return
  const { target, method, headers, body, isStream, timeoutMs } = send
  const all = headers.slice()
  for (const name of Object.keys(credential)) all.push(name, ownMember(credential, name) as string)
  const bodyTimeout = expectationOf(send) === 'status' ? DRAIN_MS : timeoutMs
  const headersTimeout = timeoutMs
  target.upstream.send({ method, headers: all, body, isStream, headersTimeout, bodyTimeout }, user)
}
