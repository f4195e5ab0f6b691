import { envelopeProblem, headerMismatch } from '../mcp/headers.js'
import { memberText, putMembers } from '../mcp/json-text.js'
import { ERROR_CODES, errorResponse, writtenResponse } from '../mcp/jsonrpc.js'
import { envelopeVersion, isStateless, type Message } from '../mcp/message.js'
import { metaOf } from '../mcp/meta.js'
import {
  REMOVED_METHODS,
  SESSION_BASED_VERSIONS,
  STATELESS_VERSION,
  sessionBasedOnly,
} from '../mcp/versions.js'
import { isObject, type JsonObject, ownMember, stringsMember, tryParseJson } from '../util/json.js'
import { isInPlace } from './connecting/in-place.js'
import type { GatewayContext } from './context.js'
import { type Exchange, replyError, replyFailure } from './exchange.js'
import type { TargetAnswer } from './forwarding/collect-answer.js'
import { mergedMembers, missingMeta } from './lists/fan-out.js'
import { requestTarget } from './lists/target-lists.js'
import { pendingOf, type Request } from './request.js'
import { withoutTasks } from './rewriting/withheld.js'
import { joinInstructions, mergeCapabilities, NEEDS_STREAM } from './sessions/capabilities.js'
import { readEra } from './sessions/protocol-eras.js'
import type { Target } from './target.js'

export interface StatelessDeps {
  context: GatewayContext
  newRequest(exchange: Exchange, session: undefined, sealed: undefined, meta: JsonObject): Request
  /** Handles a message that passed the checks. */
  handle(request: Request, message: Message): void
  /** Answers with an error when `work` fails. */
  run(exchange: Exchange, message: Message, work: Promise<void>): void
}

/**
 * Creates the function that takes in messages of the stateless era. It checks what 2026-07-28 requires of
 * a server that reads the body. While a target is session-based, all of them are refused as a
 * session-based server would, whatever else is wrong with them.
 *
 * @see [MCP 2026-07-28, Streamable HTTP](https://modelcontextprotocol.io/specification/2026-07-28/basic/transports/streamable-http#server-validation)
 */
export function createStatelessEntrance({ context, newRequest, handle, run }: StatelessDeps) {
  const { eras, targets } = context
  const isKnownSessionBased = () => targets.some((target) => eras.known(target) === 'session-based')

  return (exchange: Exchange, message: Message): void => {
    const request = newRequest(exchange, undefined, undefined, metaOf(message.params))
    if (message.kind !== 'request') {
      return isKnownSessionBased() ? refuseEra(exchange, message) : handle(request, message)
    }
    const mismatch = headerMismatch(message, (name) => exchange.header(name))
    // only its header names the era: it can be refused without a request to a target
    if (!isStateless(message)) {
      if (isKnownSessionBased()) return refuseEra(exchange, message)
      if (mismatch !== undefined && envelopeVersion(message) !== undefined) {
        return refuse(exchange, message, ERROR_CODES.headerMismatch, mismatch)
      }
      const problem = envelopeProblem(message) ?? '_meta is of another version'
      return refuse(exchange, message, ERROR_CODES.invalidParams, problem)
    }
    const isDiscover = message.method === 'server/discover'
    // the targets' answers to it tell what they speak
    if (mismatch === undefined && isDiscover && (targets.length === 1 || isOurs(message))) {
      return run(exchange, message, discover(context, pendingOf(request), message))
    }
    const enter = (isServed: boolean) => {
      if (!isServed) return refuseEra(exchange, message)
      if (mismatch !== undefined) {
        return refuse(exchange, message, ERROR_CODES.headerMismatch, mismatch)
      }
      if (REMOVED_METHODS.has(message.method)) {
        const text = `Unknown method: ${message.method}`
        return refuse(exchange, message, ERROR_CODES.methodNotFound, text)
      }
      if (targets.length === 1 || isOurs(message)) return handle(request, message)
      const problem = envelopeProblem(message)
      if (problem === undefined) return refuseVersion(exchange, message)
      refuse(exchange, message, ERROR_CODES.invalidParams, problem)
    }
    const served = eras.serveStateless(targets, request)
    if (typeof served === 'boolean') enter(served)
    else run(exchange, message, served.then(enter))
  }
}

/** Tells whether a request is complete and of the version that we can answer ourselves. */
function isOurs(message: Message): boolean {
  return envelopeProblem(message) === undefined && envelopeVersion(message) === STATELESS_VERSION
}

/** Refuses a version of the stateless era that we do not speak. */
function refuseVersion(exchange: Exchange, { id }: Message): void {
  const requested = exchange.header('mcp-protocol-version')
  const error = {
    code: ERROR_CODES.unsupportedProtocolVersion,
    message: 'Unsupported protocol version',
    data: { supported: [STATELESS_VERSION], requested },
  }
  exchange.reply.json(400, errorResponse(id ?? null, error))
}

function refuse(exchange: Exchange, { id }: Message, code: number, message: string): void {
  replyError(exchange, id, code, message, code === ERROR_CODES.methodNotFound ? 404 : 400)
}

/** `text` is the result as it was written, unless something was taken out of it. */
type Found = { target: Target; result: JsonObject; text: string | undefined }

/**
 * Answers `server/discover` from all targets. It is refused while one of them is session-based, so
 * that clients fall back to `initialize`. A single target's answer is passed on unchanged; several are
 * merged, without the targets that are down.
 *
 * @see [MCP 2026-07-28, discovery](https://modelcontextprotocol.io/specification/2026-07-28/server/discover)
 */
async function discover(
  context: GatewayContext,
  request: Request,
  message: Message,
): Promise<void> {
  const { targets, timeouts, eras } = context
  const { exchange } = request
  if (targets.some((target) => eras.current(target) === 'session-based')) {
    return refuseEra(exchange, message)
  }
  const { method, params } = message
  const wait = targets.length === 1 ? timeouts.answer : timeouts.list
  const deadline = context.clock.now() + wait
  const answers = await Promise.all(
    targets.map((target) => requestTarget(context, request, target, { method, params }, deadline)),
  )
  if (!(await isServed(context, request, answers))) return refuseEra(exchange, message)
  const found: Found[] = []
  answers.forEach((answer, index) => {
    const result = answer.ok ? memberOf(answer, 'result') : undefined
    const target = targets[index] as Target
    if (!answer.ok) exchange.leftOut?.(answer.failure)
    if (result === undefined) return
    if (!isInPlace(answer.head)) context.declared.learn(request, target, result)
    const isWithheld = context.boundIds.withholds(target, exchange.caller.principal)
    found.push({
      target,
      result: isWithheld ? withoutTasks(result) : result,
      text: answer.ok && !isWithheld ? memberText(answer.text, 'result') : undefined,
    })
  })
  if (found.length === 0 && targets.length > 0) return replyRefused(exchange, message, answers)
  const isOnly = targets.length === 1
  const result = isOnly ? asItIs(found[0] as Found) : JSON.stringify(merge(context, found))
  exchange.reply.json(200, writtenResponse(message.id as string | number, result))
}

/** Decides by the targets' answers whether the stateless era is served. */
async function isServed(
  { targets, eras }: GatewayContext,
  request: Request,
  answers: readonly TargetAnswer[],
): Promise<boolean> {
  const said = answers.map(readEra)
  said.forEach((era, index) => {
    const target = targets[index] as Target
    if (era === 'stateless') eras.learn(target, era)
    else if (era === 'session-based') eras.suspect(target)
  })
  // a target may have refused the client's request and not its era, so that we probe once more
  if (said.includes('session-based')) return eras.serveStateless(targets, request)
  return !targets.some((target) => eras.known(target) === 'session-based')
}

/** Refuses a request of the stateless era as a server that does not know that era. */
function refuseEra({ reply }: Exchange, { id, method }: Message): void {
  reply.json(400, errorResponse(id ?? null, sessionBasedOnly(method)))
}

function replyRefused(exchange: Exchange, { id }: Message, answers: readonly TargetAnswer[]): void {
  for (const answer of answers) {
    const error = answer.ok ? memberOf(answer, 'error') : undefined
    if (answer.ok && error !== undefined) {
      return exchange.reply.json(answer.status, JSON.stringify({ jsonrpc: '2.0', id, error }))
    }
    if (!answer.ok) return replyFailure(exchange, id, answer.failure)
  }
  replyError(exchange, id, ERROR_CODES.internalError, 'No target says what it can do')
}

function memberOf({ text }: TargetAnswer & { ok: true }, member: string): JsonObject | undefined {
  const message = tryParseJson(text)
  const value = isObject(message) ? ownMember(message, member) : undefined
  return isObject(value) ? value : undefined
}

function asItIs({ target, result, text = JSON.stringify(result) }: Found): string {
  return isForCaller(target) ? putMembers(text, { cacheScope: '"private"' }) : text
}

function merge({ targets, offersStreams }: GatewayContext, found: readonly Found[]): JsonObject {
  const results = found.map(({ result }) => result)
  const unavailable = offersStreams ? undefined : NEEDS_STREAM
  const sent = results.map((result) => ownMember(result, 'capabilities'))
  const capabilities = mergeCapabilities(sent, unavailable)
  const instructions = joinInstructions(found)
  const present = new Set(found.map(({ target }) => target))
  const missing = targets.filter((target) => !present.has(target)).map(({ name }) => name)
  const caching = results.map(({ ttlMs, cacheScope }) => ({ ttlMs, cacheScope }))
  const isOwn = targets.some(isForCaller)
  return {
    supportedVersions: sharedVersions(results),
    capabilities,
    ...(instructions !== undefined && { instructions }),
    ...mergedMembers(caching, missingMeta(missing), isOwn),
  }
}

/** Tells whether others may find something else at a target than its caller does. */
const isForCaller = ({ barrier, policy, promptPolicy, resourcePolicy }: Target) =>
  barrier !== undefined ||
  [policy, promptPolicy, resourcePolicy].some(({ dependsOnCaller }) => dependsOnCaller)

/** The versions that all of them speak and that we know how to merge. */
function sharedVersions(results: readonly JsonObject[]): string[] {
  return [STATELESS_VERSION, ...SESSION_BASED_VERSIONS].filter((version) =>
    results.every((result) => stringsMember(result, 'supportedVersions').includes(version)),
  )
}
