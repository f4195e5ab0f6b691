import { errorCodeOf } from '../../mcp/incoming.js'
import { memberText, objectText, putMembers } from '../../mcp/json-text.js'
import { ERROR_CODES, errorResponse, ownId, type RequestId } from '../../mcp/jsonrpc.js'
import { idText } from '../../mcp/message.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { AnswerReader, type AnswerReaderListener } from '../answer-reader.js'
import type { ResponseHead, UpstreamController } from '../upstream.js'
import { unusableAnswer } from '../upstream-error.js'
import { createInputRounds, type InputRounds } from './input-requests.js'
import type { Turn } from './options.js'
import { type MirroredParam, paramHeaders } from './param-headers.js'
import { type RetryParts, statelessHeadersOf, statelessText } from './stateless-wire.js'

interface TranslatedCallOptions extends Omit<Turn, 'isKept'> {
  /** The client speaks 2026-07-28 itself: only the headers of HTTP are added. */
  isStateless?: boolean
}

/** A request of a session-based client to a server of 2026-07-28, in as many rounds as it takes. */
export class TranslatedCall implements AnswerReaderListener {
  readonly #options: TranslatedCallOptions
  #answer: AnswerReader | undefined
  readonly #rounds: InputRounds
  #retry: RetryParts | undefined
  #readTools = false
  /** The client left, and the call goes on at the target. */
  #isAlone = false
  #isOver = false

  constructor(options: TranslatedCallOptions) {
    this.#options = options
    const { call, session, parts } = options
    this.#rounds = createInputRounds({
      ...{ clock: parts.clock, call, session },
      onReady: (params) => this.#again(params),
      onFailed: (reason) => this.#refuse(reason),
    })
  }

  start(): void {
    const { call, session, message } = this.#options
    session.calls.set(message.id as RequestId, this)
    call.onOver = (end) => {
      if (end === 'left') this.#left(call.reason as Error)
    }
    this.#send()
  }

  /** The client cancelled; in the stateless protocol, closing the connection says so to the target. */
  cancel(): void {
    this.#answer?.abort(new Error('the client cancelled its request'))
    this.#refuse('The client cancelled this request')
  }

  /** A session-based client that leaves has not cancelled: a tool must not be stopped halfway. */
  #left(reason: Error): void {
    const { message, isStateless } = this.#options
    this.#isAlone = !isStateless && !this.#rounds.isAsking && message.method === 'tools/call'
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
    if (params instanceof Promise) this.#when(params, (read) => this.#dispatch(read))
    else this.#dispatch(params)
  }

  #dispatch(params: readonly MirroredParam[]): void {
    if (this.#isOver) return
    const { parts, request, message, session, isStateless } = this.#options
    const body = isStateless ? request.body : statelessText(message.text, session, this.#retry)
    const mirrored = paramHeaders(params, message.params['arguments'])
    const plain = isStateless ? request.headers : statelessHeadersOf(request.headers, message)
    const headers = [...plain, ...mirrored]
    const id = this.#retry?.id ?? (message.id as RequestId)
    this.#answer = new AnswerReader(id, this, parts.memory)
    parts.inner.send({ ...request, headers, body }, this.#answer)
  }

  started(controller: UpstreamController): void {
    if (!this.#isAlone) this.#options.call.follow(controller)
  }

  streaming(): void {
    this.#options.call.openStream()
  }

  notified(text: string): void {
    this.#options.call.event(text)
  }

  kept(bytes: Buffer): void {
    this.#options.call.write(bytes)
  }

  responded(text: string): void {
    const { parts, request, message, isStateless } = this.#options
    const type =
      !isStateless && /"(input_required|task)"/.test(text)
        ? tryParseJson(memberText(objectText(text, 'result'), 'resultType') ?? '')
        : undefined
    if (type === 'input_required') return this.#inputRequired(text)
    if (type === 'task') return this.#refuse(NO_TASKS)
    const learn = (result: JsonObject) => parts.schemas.learn(request.headers, result)
    let answer: string
    try {
      answer = downgradeResult(text, message.method, isStateless === true, learn)
    } catch (error) {
      return this.failed(unusableAnswer(error))
    }
    this.#finish(this.#retry === undefined ? answer : this.#own(answer))
  }

  refused(status: number, head: ResponseHead, body: Buffer, response: string | undefined): void {
    const { parts, request, call, message, isStateless } = this.#options
    const code = errorCodeOf(tryParseJson(response ?? ''))
    const isCall = message.method === 'tools/call'
    if (code === ERROR_CODES.headerMismatch && isCall && !this.#readTools) {
      this.#readTools = true
      return this.#when(parts.schemas.read(request.headers), () => this.#send())
    }
    const refusesStateless = !isStateless && parts.refusesStateless(status, code)
    if (!isStateless && response !== undefined && !refusesStateless)
      return this.#finish(this.#own(response))
    if (call.isStreaming) return this.#refuse(`The target answered HTTP ${status}`)
    this.#end()
    // 404 tells a client in a session to initialize again
    if (refusesStateless) call.respond(404, {})
    else call.respond(status, head, body)
  }

  #when<T>(read: Promise<T>, goOn: (value: T) => void): void {
    read.then(goOn).catch((error: unknown) => this.failed(unusableAnswer(error)))
  }

  failed(error: Error): void {
    this.#end()
    this.#options.call.fail(error)
  }

  #inputRequired(text: string): void {
    // no client is left that could answer
    if (this.#options.call.isOver) this.#end()
    else this.#rounds.take(text)
  }

  #again(params: Record<string, string>): void {
    this.#retry = { id: ownId(), params }
    this.#send()
  }

  #refuse(text: string): void {
    const error = { code: ERROR_CODES.internalError, message: text }
    this.#finish(errorResponse(this.#options.message.id ?? null, error))
  }

  /** Makes the answer to another request the answer to this one. */
  #own(response: string): string {
    return putMembers(response, { id: idText(this.#options.message) })
  }

  #finish(response: string): void {
    this.#end()
    this.#options.call.answer(response)
  }

  #end(): void {
    this.#isOver = true
    this.#rounds.stop()
    const { session, message } = this.#options
    const id = message.id as RequestId
    if (session.calls.get(id) === this) session.calls.delete(id)
  }
}

const NO_TASKS =
  'The target answered with a task, which only clients of 2026-07-28 can follow; its result is lost'

const ODD_STRUCTURE = /"structuredContent"\s*:\s*[^{\s]/

/**
 * Takes out of a response what its client must not get: tools with invalid annotations and, for
 * session-based clients, structured content that is no object, which the text repeats.
 *
 * @param learn Returns the tools of a list that may be shown.
 * @see [MCP 2026-07-28, key changes](https://modelcontextprotocol.io/specification/2026-07-28/changelog)
 */
function downgradeResult(
  text: string,
  method: string,
  isStateless: boolean,
  learn: (result: JsonObject) => JsonObject[] | undefined,
): string {
  const isOdd = method === 'tools/call' && !isStateless && ODD_STRUCTURE.test(text)
  if (method !== 'tools/list' && !isOdd) return text
  const result = tryParseJson(objectText(text, 'result'))
  if (!isObject(result)) return text
  const fitted = isOdd ? withObject(result) : withTools(result, learn(result), isStateless)
  return fitted === result ? text : putMembers(text, { result: JSON.stringify(fitted) })
}

function withObject(result: JsonObject): JsonObject {
  const { structuredContent, ...others } = result
  return isObject(structuredContent) ? result : others
}

function withTools(
  result: JsonObject,
  shown: JsonObject[] | undefined,
  isStateless: boolean,
): JsonObject {
  const sent = result['tools']
  const tools = isStateless ? shown : shown?.map(sessionBasedTool)
  if (tools === undefined || !Array.isArray(sent)) return result
  const isSame = tools.length === sent.length && tools.every((tool, at) => tool === sent[at])
  return isSame ? result : { ...result, tools }
}

function sessionBasedTool(tool: JsonObject): JsonObject {
  const { outputSchema, ...others } = tool
  if (outputSchema === undefined) return tool
  return isObject(outputSchema) && outputSchema['type'] === 'object' ? tool : others
}
