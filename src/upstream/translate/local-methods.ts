import { ERROR_CODES, errorResponse, type RequestId, resultResponse } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { META, metaOf, OWN_INFO } from '../../mcp/meta.js'
import { isObject, type JsonObject, stringMember } from '../../util/json.js'
import type { PendingCall } from '../shared/pending-call.js'
import type { UpstreamRequest } from '../upstream.js'
import { UpstreamError } from '../upstream-error.js'
import { INPUT_REQUEST_PREFIX } from './input-requests.js'
import type { TranslatorParts } from './options.js'
import { dropTasks, type SessionClient, type TranslatedSession } from './translated-session.js'

/** One message of a client on its way. */
export interface Turn {
  readonly parts: TranslatorParts
  readonly call: PendingCall
  readonly request: UpstreamRequest
  readonly message: Message
  readonly session: TranslatedSession
  /** The session lives longer than this request. */
  readonly isKept: boolean
}

/** The most characters of all URIs together that one session subscribes to. */
const MAX_URIS_LENGTH = 64 * 1024

const LEVELS = ['debug', 'info', 'notice', 'warning', 'error', 'critical', 'alert', 'emergency']

export function answer({ call, message }: Turn, result: object = {}): void {
  call.answer(resultResponse(message.id as RequestId, result))
}

export function refuse({ call, message }: Turn, code: number, text: string): void {
  call.answer(errorResponse(message.id as RequestId, { code, message: text }))
}

/** `logging/setLevel`: the level goes with every later request that comes to this process. */
export function setLevel(turn: Turn): void {
  const level = stringMember(turn.message.params, 'level')
  if (level === undefined || !LEVELS.includes(level)) {
    return refuse(turn, ERROR_CODES.invalidParams, `"level" must be one of ${LEVELS.join(', ')}`)
  }
  turn.session.logLevel = level
  answer(turn)
}

/** `resources/subscribe` and `resources/unsubscribe`: change what the open streams listen for. */
export async function subscribe(turn: Turn): Promise<void> {
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
export function takeNotification({ call, message, session }: Turn): void {
  if (message.method === 'notifications/cancelled') {
    session.calls.get(message.params['requestId'] as RequestId)?.cancel()
  }
  call.respond(202, {})
}

/** Takes a client's answer to a request of the target. */
export function takeAnswer({ parts, call, message, session }: Turn): void {
  const take = session.asked.get(message.id as RequestId)
  if (take !== undefined) {
    take(message)
    return call.respond(202, {})
  }
  let reason = 'nothing was asked under the id of this answer'
  if (String(message.id).startsWith(INPUT_REQUEST_PREFIX)) {
    reason = 'the call that waits for this answer is over, or runs in another process'
    const { logger, target } = parts
    logger.warn('answer_lost', `Target "${target}": ${reason}. ${ADVICE}`, { target })
  }
  call.fail(new UpstreamError('invalid_answer', reason))
}

const ADVICE =
  'Where tools ask their user, run one worker and let the balancer keep a session at one replica'

/** Capabilities with the same name in both protocols. */
const SAME = ['tools', 'prompts', 'resources', 'completions', 'logging', 'experimental'] as const

/** Makes the result of `initialize` from that of `server/discover`. */
export function initializeResult(discovered: JsonObject, { version }: SessionClient): JsonObject {
  const instructions = stringMember(discovered, 'instructions')
  const serverInfo = metaOf(discovered)[META.serverInfo]
  const { capabilities } = discovered
  return {
    protocolVersion: version,
    capabilities: isObject(capabilities) ? sessionBasedCapabilities(capabilities) : {},
    serverInfo: isObject(serverInfo) ? serverInfo : OWN_INFO,
    ...(instructions !== undefined && { instructions }),
  }
}

function sessionBasedCapabilities(capabilities: JsonObject): JsonObject {
  const kept: JsonObject = {}
  for (const name of SAME) if (name in capabilities) kept[name] = capabilities[name]
  const { extensions } = capabilities
  const others = isObject(extensions) ? dropTasks(extensions) : {}
  if (Object.keys(others).length > 0) kept['extensions'] = others
  return kept
}
