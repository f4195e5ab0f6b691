import { randomBytes } from 'node:crypto'
import type { UpstreamController, UpstreamRequest } from '../../http/pool.js'
import { isObject, tryParseJson } from '../../util/json.js'
import { ERROR_CODES, errorResponse, type RequestId } from '../jsonrpc.js'
import { memberText, objectText, putMembers } from '../member-text.js'
import type { Message } from '../message.js'
import { answerTo, type ClientExchange, type Head } from './exchange.js'
import { ModernAnswer, type ModernAnswerListener } from './modern-answer.js'
import { modernHeaders, modernText, type RetryParts } from './modern-request.js'
import { type MirroredParam, paramHeaders } from './param-headers.js'
import { type InputRequest, Questions, readRequiredInput, whyNotAsk } from './questions.js'
import type { LegacySession, Running } from './session.js'
import type { TranslatorParts } from './translator.js'

export interface TranslatedCallOptions {
  parts: TranslatorParts
  exchange: ClientExchange
  request: UpstreamRequest
  message: Message
  session: LegacySession
  /** The client speaks 2026-07-28 itself; only what it cannot know of HTTP is added. */
  isModern?: boolean
}

const MAX_ROUNDS = 10
/** A server that only wants to be asked again is not asked at once. */
const FIRST_PAUSE_MS = 100

/** A request of an older client on its way to a server of 2026-07-28, in as many rounds as it takes. */
export class TranslatedCall implements ModernAnswerListener, Running {
  readonly #options: TranslatedCallOptions
  #answer: ModernAnswer | undefined
  #questions: Questions | undefined
  #retry: RetryParts | undefined
  #rounds = 0
  #readTools = false
  /** The client left, and the target goes on with its call. */
  #isAlone = false
  #isOver = false

  constructor(options: TranslatedCallOptions) {
    this.#options = options
  }

  start(): void {
    const { exchange, session, message } = this.#options
    session.calls.set(message.id as RequestId, this)
    exchange.onLeave = (reason) => this.#left(reason)
    this.#send()
  }

  /** The client wants no answer any more, which a closed stream says in the newer era. */
  cancel(): void {
    this.#answer?.abort(new Error('the client cancelled its request'))
    this.#refuse(ERROR_CODES.internalError, 'The client cancelled this request')
  }

  /** In the older era a client that leaves cancels nothing: what a tool does must not stop halfway. */
  #left(reason: Error): void {
    const { message, isModern } = this.#options
    this.#isAlone = !isModern && this.#questions === undefined && message.method === 'tools/call'
    if (this.#isAlone) return
    this.#answer?.abort(reason)
    this.#end()
  }

  #send(): void {
    const { parts, request, message } = this.#options
    const { name, arguments: args } = message.params
    if (message.method !== 'tools/call' || typeof name !== 'string' || !isObject(args)) {
      return this.#dispatch([])
    }
    const params = parts.schemas.paramsOf(request.headers, name)
    if (params instanceof Promise) void params.then((read) => this.#dispatch(read))
    else this.#dispatch(params)
  }

  #dispatch(params: readonly MirroredParam[]): void {
    if (this.#isOver) return
    const { parts, request, message, session, isModern } = this.#options
    const body = isModern ? request.body : modernText(message.text, session, this.#retry)
    const mirrored = paramHeaders(params, message.params['arguments'])
    const plain = isModern ? request.headers : modernHeaders(request, message)
    const headers = [...plain, ...mirrored]
    this.#answer = new ModernAnswer(this.#retry?.id ?? (message.id as RequestId), this)
    parts.inner.send({ ...request, headers, body }, this.#answer)
  }

  started(controller: UpstreamController): void {
    if (!this.#isAlone) this.#options.exchange.follow(controller)
  }

  streaming(): void {
    this.#options.exchange.openStream()
  }

  notified(text: string): void {
    this.#options.exchange.event(text)
  }

  kept(bytes: Buffer): void {
    this.#options.exchange.write(bytes)
  }

  responded(text: string): void {
    const { parts, request, message, isModern } = this.#options
    const type =
      !isModern && /"(input_required|task)"/.test(text)
        ? tryParseJson(memberText(objectText(text, 'result'), 'resultType') ?? '')
        : undefined
    if (type === 'input_required') return this.#ask(text)
    if (type === 'task') return this.#refuse(ERROR_CODES.internalError, NO_TASKS)
    const result = message.method === 'tools/list' ? tryParseJson(objectText(text, 'result')) : {}
    const list = isObject(result) ? parts.schemas.filter(request.headers, result) : undefined
    const answer = list === undefined ? text : putMembers(text, { result: JSON.stringify(list) })
    this.#finish(this.#retry === undefined ? answer : answerTo(message, answer))
  }

  refused(status: number, head: Head, body: Buffer): void {
    const { parts, request, exchange, message, isModern } = this.#options
    const text = body.toString('utf8')
    const response = tryParseJson(text)
    const error = isObject(response) ? response['error'] : undefined
    const code = isObject(error) ? error['code'] : undefined
    const isCall = message.method === 'tools/call'
    if (code === ERROR_CODES.headerMismatch && isCall && !this.#readTools) {
      this.#readTools = true
      void parts.schemas.read(request.headers).then(() => this.#send())
      return
    }
    const isOtherEra = !isModern && parts.isOtherEra(status, code)
    if (!isModern && isObject(error) && !isOtherEra) return this.#finish(answerTo(message, text))
    if (exchange.isStreaming) {
      return this.#refuse(ERROR_CODES.internalError, `The target answered HTTP ${status}`)
    }
    this.#end()
    // to a client in a session 404 says: initialize again
    if (isOtherEra) exchange.empty(404)
    else exchange.pass(status, head, body)
  }

  failed(error: Error): void {
    this.#end()
    this.#options.exchange.fail(error)
  }

  #ask(text: string): void {
    const { parts, exchange, session } = this.#options
    const { requests, state } = readRequiredInput(text)
    if (exchange.isOver) return this.#end()
    this.#rounds += 1
    if (this.#rounds > MAX_ROUNDS) {
      return this.#refuse(
        ERROR_CODES.internalError,
        `The target asked more than ${MAX_ROUNDS} times`,
      )
    }
    const answered = (results: Record<string, string>) => {
      this.#questions = undefined
      this.#again(results, state)
    }
    if (requests.length === 0) {
      const pause = FIRST_PAUSE_MS * 2 ** (this.#rounds - 1)
      parts.clock.after(pause, () => this.#again({}, state))
      return
    }
    const reason = firstReason(requests, session)
    if (reason !== undefined) {
      return this.#refuse(ERROR_CODES.internalError, `The target needs its client: ${reason}`)
    }
    this.#questions = new Questions({
      ...{ clock: parts.clock, exchange, session },
      onAnswered: answered,
      onFailed: (why) => this.#refuse(ERROR_CODES.internalError, why),
    })
    this.#questions.ask(requests)
  }

  #again(results: Record<string, string>, state: string | undefined): void {
    const params: Record<string, string> = {}
    if (Object.keys(results).length > 0) params['inputResponses'] = putMembers('{}', results)
    if (state !== undefined) params['requestState'] = state
    this.#retry = { id: `mcp-descope-proxy/retry/${randomBytes(9).toString('base64url')}`, params }
    this.#send()
  }

  #refuse(code: number, text: string): void {
    this.#finish(errorResponse(this.#options.message.id ?? null, { code, message: text }))
  }

  #finish(response: string): void {
    this.#end()
    this.#options.exchange.answer(response)
  }

  #end(): void {
    this.#isOver = true
    this.#questions?.stop()
    const { session, message } = this.#options
    const id = message.id as RequestId
    if (session.calls.get(id) === this) session.calls.delete(id)
  }
}

const NO_TASKS =
  'The target answered with a task, which only clients of 2026-07-28 can follow; its result is lost'

function firstReason(requests: readonly InputRequest[], { client }: LegacySession) {
  for (const request of requests) {
    const reason = whyNotAsk(request, client.capabilities)
    if (reason !== undefined) return reason
  }
  return undefined
}
