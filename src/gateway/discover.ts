import { legacyOnly } from '../mcp/era-refusal.js'
import { ERROR_CODES, errorResponse, resultResponse } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { LEGACY_VERSIONS, MODERN_VERSION } from '../mcp/versions.js'
import { isObject, type JsonObject, ownMember, stringsMember, tryParseJson } from '../util/json.js'
import { ask } from './ask.js'
import { mergedMembers, missingMeta } from './caching.js'
import { joinInstructions, mergeCapabilities, NEEDS_STREAM } from './capabilities.js'
import type { Collected } from './collect.js'
import type { GatewayContext, Request } from './context.js'
import { readEra } from './eras.js'
import type { Exchange } from './exchange.js'
import { replyFailure } from './reply-failure.js'
import type { Target } from './target.js'
import { withoutTasks } from './withheld-handles.js'

type Found = { target: Target; result: JsonObject }

/**
 * Answers `server/discover` from all targets: refused while one of them speaks older versions only,
 * so that clients fall back to `initialize`. One target's answer stays as it is; several are merged,
 * and a target that is down is left out.
 *
 * @see [MCP 2026-07-28, discovery](https://modelcontextprotocol.io/specification/2026-07-28/server/discover)
 */
export async function discover(
  context: GatewayContext,
  request: Request,
  message: Message,
): Promise<void> {
  const { targets, timeouts, eras } = context
  const { exchange } = request
  if (targets.some((target) => eras.current(target) === 'legacy')) {
    return refuseEra(exchange, message)
  }
  const { method, params } = message
  const wait = targets.length === 1 ? timeouts.answer : timeouts.list
  const deadline = context.clock.now() + wait
  const answers = await Promise.all(
    targets.map((target) => ask(context, request, target, { method, params }, deadline)),
  )
  if (!(await isServed(context, request, answers))) {
    return refuseEra(exchange, message)
  }
  const found: Found[] = []
  answers.forEach((answer, index) => {
    const result = answer.ok ? memberOf(answer, 'result') : undefined
    const target = targets[index] as Target
    if (result === undefined) return
    context.declared.learn(request, target, result)
    const isWithheld = context.handles.withholds(target, exchange.caller.principal)
    found.push({ target, result: isWithheld ? withoutTasks(result) : result })
  })
  if (found.length === 0) return replyRefused(exchange, message, answers)
  const result = targets.length === 1 ? asItIs(found[0] as Found) : merge(context, found)
  exchange.reply.json(200, resultResponse(message.id as string | number, result))
}

/** Judges by the answers whether the stateless era is served. */
async function isServed(
  { targets, eras }: GatewayContext,
  request: Request,
  answers: readonly Collected[],
): Promise<boolean> {
  const said = answers.map(readEra)
  said.forEach((era, index) => {
    const target = targets[index] as Target
    if (era === 'modern') eras.learn(target, era)
    else if (era === 'legacy') eras.suspect(target)
  })
  // it may be the client's request that was refused, not its era: our own will tell
  if (said.includes('legacy')) return eras.serveModern(request)
  return !targets.some((target) => eras.known(target) === 'legacy')
}

/** Refuses a request of the stateless era as a server that does not know that era. */
export function refuseEra({ reply }: Exchange, { id, method }: Message): void {
  reply.json(400, errorResponse(id ?? null, legacyOnly(method)))
}

function replyRefused(exchange: Exchange, { id }: Message, answers: readonly Collected[]): void {
  for (const answer of answers) {
    const error = answer.ok ? memberOf(answer, 'error') : undefined
    if (answer.ok && error !== undefined) {
      return exchange.reply.json(answer.status, JSON.stringify({ jsonrpc: '2.0', id, error }))
    }
    if (!answer.ok) return replyFailure(exchange, id, answer.failure)
  }
  const error = { code: ERROR_CODES.internalError, message: 'No target says what it can do' }
  exchange.reply.json(200, errorResponse(id ?? null, error))
}

function memberOf({ text }: Collected & { ok: true }, member: string): JsonObject | undefined {
  const message = tryParseJson(text)
  const value = isObject(message) ? ownMember(message, member) : undefined
  return isObject(value) ? value : undefined
}

function asItIs({ target, result }: Found): JsonObject {
  return target.policy.dependsOnCaller ? { ...result, cacheScope: 'private' } : result
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
  const isOwn = targets.some(({ policy }) => policy.dependsOnCaller)
  return {
    supportedVersions: sharedVersions(results),
    capabilities,
    ...(instructions !== undefined && { instructions }),
    ...mergedMembers(caching, missingMeta(missing), isOwn),
  }
}

/** The versions that all of them speak and that we know how to merge. */
function sharedVersions(results: readonly JsonObject[]): string[] {
  return [MODERN_VERSION, ...LEGACY_VERSIONS].filter((version) =>
    results.every((result) => stringsMember(result, 'supportedVersions').includes(version)),
  )
}
