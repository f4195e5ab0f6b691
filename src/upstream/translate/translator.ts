import { ERROR_CODES, errorResponse, type RequestId, resultResponse } from '../../mcp/jsonrpc.js'
import { parseMessageText } from '../../mcp/message.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { PendingCall } from '../shared/pending-call.js'
import { headerOf, type UpstreamHandler, type UpstreamRequest } from '../upstream.js'
import { unusableAnswer } from '../upstream-error.js'
import { ListenStream } from './listen-stream.js'
import {
  answer,
  initializeResult,
  refuse,
  setLevel,
  subscribe,
  type Turn,
  takeAnswer,
  takeNotification,
} from './local-methods.js'
import type { TranslatorOptions, TranslatorParts } from './options.js'
import { createProbe, type ServerDiscovery } from './probe.js'
import { ToolSchemas } from './tool-schemas.js'
import { TranslatedCall } from './translated-call.js'
import { newSession, readClient, TranslatedSessions, writeSessionId } from './translated-session.js'

/** Error codes of session-based servers for a version that they do not know. */
const SESSION_BASED_CODES: ReadonlySet<unknown> = new Set([
  -32000,
  ERROR_CODES.unsupportedProtocolVersion,
  // with 400; a server of 2026-07-28 answers 404 to a method that it does not know
  ERROR_CODES.methodNotFound,
])

/** A method is repeated in a header as it is, without any encoding. */
const HEADER_VALUE = /^[\x21-\x7e]+$/

/** Makes a server of 2026-07-28 look like one of the session-based protocol. */
export class Translator {
  readonly #options: TranslatorOptions
  readonly #parts: TranslatorParts
  readonly #sessions = new TranslatedSessions()
  readonly #probe: ReturnType<typeof createProbe>

  constructor(options: TranslatorOptions) {
    this.#options = options
    const { inner, clock, logger, target, memory, identityHeader } = options
    const probe = createProbe({ clock, inner })
    const askPage = probe.tools
    const schemas = new ToolSchemas({ clock, logger, target, identityHeader, askPage })
    this.#probe = probe
    this.#parts = {
      ...{ inner, clock, logger, target, memory, schemas },
      refusesStateless: (status, code) => this.#refusesStateless(status, code),
    }
  }

  /** Asks the target, for the client of this request, whether it speaks 2026-07-28. */
  discover({ headers, body }: UpstreamRequest): Promise<ServerDiscovery> {
    const message = tryParseJson(String(body ?? ''))
    const params = isObject(message) && isObject(message['params']) ? message['params'] : {}
    return this.#probe.discover(headers, newSession(readClient(params)))
  }

  /** Asks the target whether it opens sessions. */
  takesInitialize({ headers }: UpstreamRequest): Promise<boolean> {
    return this.#probe.takesInitialize(headers)
  }

  /** Answers a request with what the target said when it was asked. */
  pass(discovery: ServerDiscovery, handler: UpstreamHandler): void {
    if (!discovery.ok) discovery.pass(new PendingCall(handler))
  }

  /**
   * Takes a request of a session-based client.
   *
   * @param discovered What the target just said of itself.
   */
  send(request: UpstreamRequest, handler: UpstreamHandler, discovered?: JsonObject): void {
    const call = new PendingCall(handler, undefined, undefined, this.#parts.memory)
    if (call.isOver) return
    const parts = this.#parts
    const id = headerOf(request.headers, 'mcp-session-id')
    const session = this.#sessions.get(id)
    if (request.method === 'GET') {
      return new ListenStream({ parts, call, request, session }).start()
    }
    if (request.method === 'DELETE') {
      this.#sessions.delete(id)
      return call.respond(200, {})
    }
    const message = parseMessageText(String(request.body ?? ''))
    const turn: Turn = { parts, call, request, message, session, isKept: id !== undefined }
    if (message.kind === 'response') return takeAnswer(turn)
    if (message.kind === 'notification') return takeNotification(turn)
    const work =
      message.method === 'initialize'
        ? this.#initialize(turn, handler, discovered)
        : this.#handle(turn)
    work?.catch((error: unknown) => call.fail(unusableAnswer(error)))
  }

  /** Adds the headers of HTTP to a request of a client of 2026-07-28 that does not speak HTTP. */
  mirror(request: UpstreamRequest, handler: UpstreamHandler): void {
    const call = new PendingCall(handler, undefined, undefined, this.#parts.memory)
    if (call.isOver) return
    const parts = this.#parts
    const message = parseMessageText(String(request.body ?? ''))
    const session = this.#sessions.get(undefined)
    new TranslatedCall({ parts, call, request, message, session, isStateless: true }).start()
  }

  #handle(turn: Turn): Promise<void> | undefined {
    const { method } = turn.message
    if (method === 'ping') return this.#ping(turn)
    if (method === 'resources/subscribe' || method === 'resources/unsubscribe') {
      return subscribe(turn)
    }
    if (method === 'logging/setLevel') setLevel(turn)
    else if (!method.startsWith('tasks/') && HEADER_VALUE.test(method)) {
      new TranslatedCall(turn).start()
    } else refuse(turn, ERROR_CODES.methodNotFound, `Method not found: ${method}`)
    return undefined
  }

  async #initialize(
    { call, request, message }: Turn,
    handler: UpstreamHandler,
    discovered: JsonObject | undefined,
  ): Promise<void> {
    const id = message.id as RequestId
    const client = readClient(message.params)
    const discovery: ServerDiscovery =
      discovered === undefined
        ? await this.#probe.discover(request.headers, newSession(client))
        : { ok: true, result: discovered }
    if (call.isOver) return
    if (discovery.ok) {
      const result = initializeResult(discovery.result, client)
      call.sessionId = writeSessionId(client)
      return call.answer(resultResponse(id, result))
    }
    if (!discovery.refusesStateless) return discovery.pass(call)
    const { protocol, inner, target, onSessionBased } = this.#options
    onSessionBased()
    if (protocol === 'auto') return inner.send(request, handler)
    const text = `${target} does not speak 2026-07-28, which --protocol asks for`
    const error = { code: ERROR_CODES.unsupportedProtocolVersion, message: text }
    call.answer(errorResponse(id, error))
  }

  /** Answers `ping`, which 2026-07-28 lacks: `server/discover` shows whether the target is there. */
  async #ping(turn: Turn): Promise<void> {
    const discovery = await this.#probe.discover(turn.request.headers, turn.session)
    if (discovery.ok) answer(turn)
    else discovery.pass(turn.call)
  }

  #refusesStateless(status: number, code: unknown): boolean {
    const is =
      code === undefined
        ? status === 404 || status === 405
        : status >= 400 &&
          SESSION_BASED_CODES.has(code) &&
          (status === 400 || code !== ERROR_CODES.methodNotFound)
    if (is) this.#options.onSessionBased()
    return is
  }
}
