import { ERROR_CODES, errorResponse, type RequestId, resultResponse } from '../../mcp/jsonrpc.js'
import { parseMessageText } from '../../mcp/message.js'
import { META, metaOf, OWN_INFO } from '../../mcp/meta.js'
import { type JsonObject, objectMember, stringMember, tryParseJson } from '../../util/json.js'
import { PendingCall } from '../shared/pending-call.js'
import { headerOf, type UpstreamHandler, type UpstreamRequest } from '../upstream.js'
import { UpstreamError, unusableAnswer } from '../upstream-error.js'
import { INPUT_REQUEST_PREFIX } from './input-requests.js'
import { startListening } from './listen-stream.js'
import type { TranslatorOptions, TranslatorParts, Turn } from './options.js'
import { createProbe, type ServerDiscovery } from './probe.js'
import { ToolSchemas } from './tool-schemas.js'
import { TranslatedCall } from './translated-call.js'
import {
  createTranslatedSessions,
  extensionsWithoutTasks,
  newSession,
  readClient,
  type SessionClient,
  writeSessionId,
} from './translated-session.js'

/** Error codes of session-based servers for a version that they do not know. */
const SESSION_BASED_CODES: ReadonlySet<unknown> = new Set([
  -32000,
  ERROR_CODES.unsupportedProtocolVersion,
  // with 400; a server of 2026-07-28 answers 404 to a method that it does not know
  ERROR_CODES.methodNotFound,
])

/** A method is repeated in a header as it is, without any encoding. */
const HEADER_VALUE = /^[\x21-\x7e]+$/

/** The most characters of all URIs together that one session subscribes to. */
const MAX_URIS_LENGTH = 64 * 1024

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']

/** Capabilities with the same name in both protocols. */
const SAME = ['tools', 'prompts', 'resources', 'completions', 'logging', 'experimental'] as const

const ADVICE =
  'Where tools ask their user, run one worker and let the balancer keep a session at one replica'

export type Translator = ReturnType<typeof createTranslator>

/** Makes a server of 2026-07-28 look like one of the session-based protocol. */
export function createTranslator(options: TranslatorOptions) {
  const { inner, clock, logger, target, memory, identityHeader, protocol, onSessionBased } = options
  const probe = createProbe({ clock, inner })
  const sessions = createTranslatedSessions()
  const parts: TranslatorParts = {
    ...{ inner, clock, logger, target, memory, refusesStateless },
    schemas: new ToolSchemas({ clock, logger, target, identityHeader, requestPage: probe.tools }),
  }

  function refusesStateless(status: number, code: unknown): boolean {
    const is =
      code === undefined
        ? status === 404 || status === 405
        : status >= 400 &&
          SESSION_BASED_CODES.has(code) &&
          (status === 400 || code !== ERROR_CODES.methodNotFound)
    if (is) onSessionBased()
    return is
  }

  function handle(turn: Turn): Promise<void> | undefined {
    const { method } = turn.message
    if (method === 'ping') return ping(turn)
    if (method === 'resources/subscribe' || method === 'resources/unsubscribe') {
      return subscribe(turn)
    }
    if (method === 'logging/setLevel') setLevel(turn)
    else if (!method.startsWith('tasks/') && HEADER_VALUE.test(method)) {
      new TranslatedCall(turn).start()
    } else refuse(turn, ERROR_CODES.methodNotFound, `Method not found: ${method}`)
    return undefined
  }

  /** Answers `ping`, which 2026-07-28 lacks: `server/discover` shows whether the target is there. */
  async function ping(turn: Turn): Promise<void> {
    const discovery = await probe.discover(turn.request.headers, turn.session)
    if (discovery.ok) answer(turn)
    else discovery.pass(turn.call)
  }

  async function initialize(
    turn: Turn,
    handler: UpstreamHandler,
    discovered: JsonObject | undefined,
  ): Promise<void> {
    const { call, request, message } = turn
    const client = readClient(message.params)
    const discovery: ServerDiscovery =
      discovered === undefined
        ? await probe.discover(request.headers, newSession(client))
        : { ok: true, result: discovered }
    if (call.isOver) return
    if (discovery.ok) {
      call.sessionId = writeSessionId(client)
      return answer(turn, initializeResult(discovery.result, client))
    }
    if (!discovery.refusesStateless) return discovery.pass(call)
    onSessionBased()
    if (protocol === 'auto') return inner.send(request, handler)
    const text = `${target} does not speak 2026-07-28, which --protocol asks for`
    refuse(turn, ERROR_CODES.unsupportedProtocolVersion, text)
  }

  return {
    /** Probes, for the client of this request, whether the target speaks 2026-07-28. */
    discover({ headers, body }: UpstreamRequest): Promise<ServerDiscovery> {
      const params = objectMember(tryParseJson(String(body ?? '')), 'params') ?? {}
      return probe.discover(headers, newSession(readClient(params)))
    },

    /** Probes whether the target opens sessions. */
    takesInitialize: ({ headers }: UpstreamRequest) => probe.takesInitialize(headers),

    /**
     * Takes a request of a session-based client.
     *
     * @param discovered What the target just said of itself.
     */
    send(request: UpstreamRequest, handler: UpstreamHandler, discovered?: JsonObject): void {
      const call = new PendingCall(handler, undefined, undefined, memory)
      if (call.isOver) return
      const id = headerOf(request.headers, 'mcp-session-id')
      const session = sessions.get(id)
      if (request.method === 'GET') return startListening({ parts, call, request, session })
      if (request.method === 'DELETE') {
        sessions.delete(id)
        return call.respond(200, {})
      }
      const message = parseMessageText(String(request.body ?? ''))
      const turn: Turn = { parts, call, request, message, session, isKept: id !== undefined }
      if (message.kind === 'response') return takeAnswer(turn)
      if (message.kind === 'notification') return takeNotification(turn)
      const isFirst = message.method === 'initialize'
      const work = isFirst ? initialize(turn, handler, discovered) : handle(turn)
      work?.catch((error: unknown) => call.fail(unusableAnswer(error)))
    },

    /** Adds the headers of HTTP to a request of a client of 2026-07-28 that does not speak HTTP. */
    mirror(request: UpstreamRequest, handler: UpstreamHandler): void {
      const call = new PendingCall(handler, undefined, undefined, memory)
      if (call.isOver) return
      const message = parseMessageText(String(request.body ?? ''))
      const session = sessions.get(undefined)
      new TranslatedCall({ parts, call, request, message, session, isStateless: true }).start()
    },
  }
}

function answer({ call, message }: Turn, result: object = {}): void {
  call.answer(resultResponse(message.id as RequestId, result))
}

function refuse({ call, message }: Turn, code: number, text: string): void {
  call.answer(errorResponse(message.id as RequestId, { code, message: text }))
}

/** `logging/setLevel`: the level goes with every later request that comes to this process. */
function setLevel(turn: Turn): void {
  const level = stringMember(turn.message.params, 'level')
  if (level === undefined || !LEVELS.includes(level)) {
    return refuse(turn, ERROR_CODES.invalidParams, `"level" must be one of ${LEVELS.join(', ')}`)
  }
  turn.session.logLevel = level
  answer(turn)
}

/** `resources/subscribe` and `resources/unsubscribe`: change what the open streams listen for. */
async function subscribe(turn: Turn): Promise<void> {
  const { request, message, session, isKept } = turn
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
  if ([...session.uris].join('').length > MAX_URIS_LENGTH) {
    session.uris.delete(uri)
    return refuse(turn, ERROR_CODES.invalidParams, 'This session has too many subscriptions')
  }
  const renewed = [...session.streams].map((stream) => stream.renew(request.headers))
  const accepted = (await Promise.all(renewed)).filter((uris) => uris !== undefined)
  if (wants && accepted.length > 0 && !accepted.some((uris) => uris.includes(uri))) {
    session.uris.delete(uri)
    return refuse(turn, ERROR_CODES.invalidParams, `The target tells no updates of ${uri}`)
  }
  answer(turn)
}

/** Takes a notification: only a cancellation means anything in the stateless protocol. */
function takeNotification({ call, message, session }: Turn): void {
  if (message.method === 'notifications/cancelled') {
    session.calls.get(message.params['requestId'] as RequestId)?.cancel()
  }
  call.respond(202, {})
}

/** Takes a client's answer to a request of the target. */
function takeAnswer({ parts, call, message, session }: Turn): void {
  const take = session.pendingInputs.get(message.id as RequestId)
  if (take !== undefined) {
    take(message)
    return call.respond(202, {})
  }
  let reason = 'no request was sent under the id of this answer'
  if (String(message.id).startsWith(INPUT_REQUEST_PREFIX)) {
    reason = 'the call that waits for this answer is over, or runs in another process'
    const { logger, target } = parts
    logger.warn('answer_lost', `Target "${target}": ${reason}. ${ADVICE}`, { target })
  }
  call.fail(new UpstreamError('invalid_answer', reason))
}

/** Makes the result of `initialize` from that of `server/discover`. */
function initializeResult(discovered: JsonObject, { version }: SessionClient): JsonObject {
  const instructions = stringMember(discovered, 'instructions')
  const serverInfo = objectMember(metaOf(discovered), META.serverInfo)
  const offered = objectMember(discovered, 'capabilities') ?? {}
  const capabilities: JsonObject = {}
  for (const name of SAME) if (name in offered) capabilities[name] = offered[name]
  return {
    protocolVersion: version,
    capabilities: { ...capabilities, ...extensionsWithoutTasks(offered) },
    serverInfo: serverInfo ?? OWN_INFO,
    ...(instructions !== undefined && { instructions }),
  }
}
