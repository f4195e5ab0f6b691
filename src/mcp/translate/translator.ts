import { UpstreamError } from '../../http/failure.js'
import { headerOf } from '../../http/header-pairs.js'
import type { Upstream, UpstreamHandler, UpstreamRequest } from '../../http/pool.js'
import { isObject, type JsonObject, stringMember, tryParseJson } from '../../util/json.js'
import { ERROR_CODES, errorResponse, type RequestId, resultResponse } from '../jsonrpc.js'
import { type Message, parseMessageText } from '../message.js'
import { offersModern } from '../meta.js'
import { readAnswer } from '../read-answer.js'
import type { TranslatingOptions } from '../translating-upstream.js'
import { readClient, writeSessionId } from './client.js'
import { initializeResult } from './discovered.js'
import { ClientExchange } from './exchange.js'
import { ListenStream } from './listen-stream.js'
import { modernHeaders, ownRequest } from './modern-request.js'
import { QUESTION_MARK } from './questions.js'
import { type LegacySession, LegacySessions, newSession } from './session.js'
import { ToolSchemas } from './tool-schemas.js'
import { TranslatedCall } from './translated-call.js'

export interface TranslatorParts extends Pick<TranslatingOptions, 'clock' | 'logger' | 'target'> {
  readonly inner: Upstream
  readonly schemas: ToolSchemas
  /** Tells whether a refusal says that the target does not speak 2026-07-28 any more. */
  isOtherEra(status: number, code: unknown): boolean
}

export interface TranslatorOptions extends TranslatingOptions {
  inner: Upstream
  /** The target turned out not to speak 2026-07-28. */
  onOtherEra(): void
}

/** The answer to `server/discover`. */
export type Discovery =
  | { readonly ok: true; readonly result: JsonObject }
  /** Hands whatever came instead to a client. */
  | { readonly ok: false; readonly speaksHttp: boolean; pass(exchange: ClientExchange): void }

/** One client's message on its way. */
interface Turn {
  readonly exchange: ClientExchange
  readonly request: UpstreamRequest
  readonly message: Message
  readonly session: LegacySession
  /** The session lives longer than this request. */
  readonly isKept: boolean
}

const ASK_MS = 30_000
const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']

/** Makes a server of 2026-07-28 look like one of the versions before it. */
export class Translator {
  readonly #options: TranslatorOptions
  readonly #parts: TranslatorParts
  readonly #sessions = new LegacySessions()

  constructor(options: TranslatorOptions) {
    this.#options = options
    const { inner, clock, logger, target } = options
    const askPage = (headers: readonly string[], cursor: string | undefined) =>
      this.#askTools(headers, cursor)
    this.#parts = {
      ...{ inner, clock, logger, target },
      schemas: new ToolSchemas({ clock, logger, target, askPage }),
      isOtherEra: (status, code) => this.#isOtherEra(status, code),
    }
  }

  /** Asks the target, as the client of this request, whether it speaks 2026-07-28. */
  discover(request: UpstreamRequest): Promise<Discovery> {
    const message = tryParseJson(String(request.body ?? ''))
    const params = isObject(message) && isObject(message['params']) ? message['params'] : {}
    const given = sessionId(request)
    const session = given === undefined ? newSession(readClient(params)) : this.#sessions.get(given)
    return this.#discover(request.headers, session)
  }

  /**
   * Takes a request of an older client. Never throws.
   *
   * @param discovered What the target just said of itself.
   */
  send(request: UpstreamRequest, handler: UpstreamHandler, discovered?: JsonObject): void {
    const exchange = new ClientExchange(handler)
    if (exchange.isOver) return
    const id = sessionId(request)
    const session = this.#sessions.get(id)
    if (request.method === 'GET') {
      return new ListenStream({ parts: this.#parts, exchange, request, session }).start()
    }
    if (request.method === 'DELETE') {
      this.#sessions.delete(id)
      return exchange.empty(200)
    }
    const message = parseMessageText(String(request.body ?? ''))
    const turn = { exchange, request, message, session, isKept: id !== undefined }
    if (message.kind === 'response') return this.#take(turn)
    if (message.kind === 'notification') return this.#note(turn)
    if (message.method === 'initialize') return void this.#initialize(turn, handler, discovered)
    this.#handle(turn)
  }

  /** Adds to a request of 2026-07-28 what its client cannot know of HTTP. */
  mirror(request: UpstreamRequest, handler: UpstreamHandler): void {
    const exchange = new ClientExchange(handler)
    if (exchange.isOver) return
    const message = parseMessageText(String(request.body ?? ''))
    const session = this.#sessions.get(undefined)
    const { parts, isModern } = { parts: this.#parts, isModern: true }
    new TranslatedCall({ parts, exchange, request, message, session, isModern }).start()
  }

  #handle(turn: Turn): void {
    const { message } = turn
    switch (message.method) {
      case 'ping':
        return void this.#ping(turn)
      case 'logging/setLevel':
        return this.#setLevel(turn)
      case 'resources/subscribe':
      case 'resources/unsubscribe':
        return void this.#subscribe(turn)
      default:
        if (!message.method.startsWith('tasks/')) {
          return new TranslatedCall({ ...turn, parts: this.#parts }).start()
        }
        refuse(turn, ERROR_CODES.methodNotFound, `The target has no ${message.method}`)
    }
  }

  async #initialize(
    { exchange, request, message }: Turn,
    handler: UpstreamHandler,
    discovered: JsonObject | undefined,
  ): Promise<void> {
    const client = readClient(message.params)
    const discovery: Discovery =
      discovered === undefined
        ? await this.#discover(request.headers, newSession(client))
        : { ok: true, result: discovered }
    if (exchange.isOver) return
    if (discovery.ok) {
      const result = initializeResult(discovery.result, client)
      const head = { 'mcp-session-id': writeSessionId(client) }
      return exchange.answer(resultResponse(message.id as RequestId, result), head)
    }
    const { protocol, inner, target, onOtherEra } = this.#options
    if (!discovery.speaksHttp) return discovery.pass(exchange)
    onOtherEra()
    if (protocol === 'auto') return inner.send(request, handler)
    const text = `${target} does not speak 2026-07-28, which --protocol asks for`
    const error = { code: ERROR_CODES.unsupportedProtocolVersion, message: text }
    exchange.answer(errorResponse(message.id as RequestId, error))
  }

  /** Nothing else tells whether the target is still there. */
  async #ping({ exchange, request, message, session }: Turn): Promise<void> {
    const discovery = await this.#discover(request.headers, session)
    if (discovery.ok) exchange.answer(resultResponse(message.id as RequestId, {}))
    else discovery.pass(exchange)
  }

  #setLevel(turn: Turn): void {
    const level = stringMember(turn.message.params, 'level')
    if (level === undefined || !LEVELS.includes(level)) {
      return refuse(turn, ERROR_CODES.invalidParams, `"level" must be one of ${LEVELS.join(', ')}`)
    }
    turn.session.logLevel = level
    turn.exchange.answer(resultResponse(turn.message.id as RequestId, {}))
  }

  async #subscribe(turn: Turn): Promise<void> {
    const { exchange, request, message, session, isKept } = turn
    const uri = stringMember(message.params, 'uri')
    if (uri === undefined) {
      return refuse(turn, ERROR_CODES.invalidParams, `${message.method} needs the string "uri"`)
    }
    if (!isKept) {
      const text = 'Subscriptions need a session: send the Mcp-Session-Id that initialize gave'
      return refuse(turn, ERROR_CODES.invalidRequest, text)
    }
    const wants = message.method === 'resources/subscribe'
    if (wants) session.uris.add(uri)
    else session.uris.delete(uri)
    const streams = [...session.streams]
    const accepted = await Promise.all(streams.map((stream) => stream.renew(request.headers)))
    if (wants && streams.length > 0 && !accepted.some((uris) => uris.includes(uri))) {
      session.uris.delete(uri)
      return refuse(turn, ERROR_CODES.invalidParams, `The target tells no updates of ${uri}`)
    }
    exchange.answer(resultResponse(message.id as RequestId, {}))
  }

  #note({ exchange, message, session }: Turn): void {
    if (message.method === 'notifications/cancelled') {
      session.calls.get(message.params['requestId'] as RequestId)?.cancel()
    }
    exchange.empty(202)
  }

  /** Takes a client's answer to a question of the target. */
  #take({ exchange, message, session }: Turn): void {
    const take = session.asked.get(message.id as RequestId)
    if (take !== undefined) {
      take(message)
      return exchange.empty(202)
    }
    const { logger, target } = this.#options
    let reason = 'nothing was asked under the id of this answer'
    if (String(message.id).startsWith(QUESTION_MARK)) {
      reason = 'the call that waits for this answer is over, or runs in another process'
      const advice =
        'Clients that are asked something need one worker, or a balancer that sends each session to one replica'
      logger.warn('answer_lost', `Target "${target}": ${reason}. ${advice}`, { target })
    }
    exchange.fail(new UpstreamError('invalid_answer', reason))
  }

  async #discover(headers: readonly string[], session: LegacySession): Promise<Discovery> {
    const result = await this.#ask(headers, 'server/discover', {}, session)
    if (result.kind === 'failed') {
      const { cause, reason } = result.failure
      const error = new UpstreamError(cause, reason)
      return { ok: false, speaksHttp: false, pass: (exchange) => exchange.fail(error) }
    }
    const { status, header, text, message } = result.answer
    const found = message?.['result']
    if (isObject(found) && offersModern(found)) return { ok: true, result: found }
    const names = ['content-type', 'www-authenticate', 'retry-after']
    const head = Object.fromEntries(names.map((name) => [name, header(name)]))
    return {
      ok: false,
      speaksHttp: ![401, 403, 407, 429].includes(status) && status < 500,
      pass: (exchange) => exchange.pass(status, head, Buffer.from(text)),
    }
  }

  async #askTools(headers: readonly string[], cursor: string | undefined) {
    const params = cursor === undefined ? {} : { cursor }
    const session = this.#sessions.get(undefined)
    const result = await this.#ask(headers, 'tools/list', params, session)
    const list = result.kind === 'answer' ? result.answer.message?.['result'] : undefined
    return isObject(list) ? list : undefined
  }

  #ask(headers: readonly string[], method: string, params: JsonObject, session: LegacySession) {
    const { clock, inner } = this.#options
    const id = `mcp-descope-proxy/${method}`
    const body = ownRequest(id, method, params, session)
    const request = {
      method: 'POST',
      headers: modernHeaders({ headers: [...headers] }, { method, params }),
      body,
    } as const
    return readAnswer({ clock, upstream: inner }, request, id, ASK_MS)
  }

  #isOtherEra(status: number, code: unknown): boolean {
    const is =
      code === undefined
        ? status === 404 || status === 405
        : status >= 400 && (code === ERROR_CODES.unsupportedProtocolVersion || code === LEGACY_CODE)
    if (is) this.#options.onOtherEra()
    return is
  }
}

/** What servers of the older era say to a version that they do not know. */
const LEGACY_CODE = -32000

function refuse({ exchange, message }: Turn, code: number, text: string): void {
  exchange.answer(errorResponse(message.id as RequestId, { code, message: text }))
}

function sessionId({ headers }: UpstreamRequest): string | undefined {
  return headerOf(headers, 'mcp-session-id')
}
