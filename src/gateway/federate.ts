import { errorResponse, resultResponse } from '../mcp/jsonrpc.js'
import { type Message, replaceValues } from '../mcp/message.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { type Collected, collect } from './collect.js'
import { type GatewayContext, type Request, targetSession, upstreamHeaders } from './context.js'
import { failureError, type TargetFailure } from './failure.js'
import { exposeList, LIST_KINDS } from './lists.js'
import { closeSession, notify, openSession } from './open-session.js'
import { replyFailure } from './relay.js'
import type { TargetSession } from './sessions.js'
import type { Target } from './target.js'

const MAX_PAGES = 100
const METHOD_NOT_FOUND = -32601

/** What one target contributes to a list: its entries, nothing, or a failure. */
type Part = { target: Target; results: JsonObject[] } | { target: Target; failure: TargetFailure }

/**
 * Answers a list from several targets at once: all their pages, in the order of the configuration.
 * A target that fails is left out and reported; when all fail, that is an error.
 */
export async function federateList(
  context: GatewayContext,
  request: Request,
  message: Message,
): Promise<void> {
  const { exchange } = request
  const id = message.id as string | number
  const parts = await Promise.all(
    context.targets.map((target) => readList(context, request, target, message.method)),
  )
  const member = LIST_KINDS[message.method]?.member as string
  const entries: unknown[] = []
  const failures: TargetFailure[] = []
  for (const part of parts) {
    if ('failure' in part) {
      failures.push(part.failure)
      context.logger.warn('target_unavailable', `Target "${part.target.name}" is left out`, {
        target: part.target.name,
        reason: part.failure.reason,
      })
      continue
    }
    const view = {
      target: part.target,
      names: context.names,
      method: message.method,
      principal: exchange.caller.principal,
      severalTargets: true,
    }
    for (const result of part.results) entries.push(...(exposeList(view, result)[member] as []))
  }
  const [failure] = failures
  if (failure !== undefined && failures.length === parts.length) {
    return replyFailure(exchange, id, failure)
  }
  const result: JsonObject = { [member]: entries }
  if (failures.length > 0) {
    const names = failures.map(({ target }) => target)
    result['_meta'] = { 'mcp-descope-proxy/unavailableTargets': names }
  }
  exchange.reply.json(200, resultResponse(id, result))
}

/** Reads all lists of tools and prompts once, so that aliases of other processes are known here. */
export async function learnNames(context: GatewayContext, request: Request): Promise<void> {
  await Promise.all(
    context.targets.flatMap((target) =>
      ['tools/list', 'prompts/list'].map(async (method) => {
        const part = await readList(context, request, target, method)
        if ('failure' in part) return
        const { principal } = request.exchange.caller
        const view = { target, names: context.names, method, principal, severalTargets: true }
        for (const result of part.results) exposeList(view, result)
      }),
    ),
  )
}

async function readList(
  context: GatewayContext,
  request: Request,
  target: Target,
  method: string,
): Promise<Part> {
  const deadline = context.clock.now() + context.timeouts.list
  const results: JsonObject[] = []
  let cursor: unknown
  do {
    const params = cursor === undefined ? {} : { cursor }
    const collected = await ask(context, request, target, { method, params }, deadline)
    if (!collected.ok) return { target, failure: collected.failure }
    const message = tryParseJson(collected.text)
    const result = isObject(message) ? message['result'] : undefined
    if (isObject(result) && Array.isArray(result[LIST_KINDS[method]?.member as string])) {
      results.push(result)
      cursor = result['nextCursor']
    } else if (isObject(message) && lacksMethod(message)) {
      return { target, results: [] }
    } else {
      const reason = 'its answer is not a list'
      return { target, failure: { cause: 'invalid_answer', target: target.name, reason } }
    }
  } while (typeof cursor === 'string' && results.length < MAX_PAGES)
  return { target, results }
}

function lacksMethod({ error }: JsonObject): boolean {
  return isObject(error) && error['code'] === METHOD_NOT_FOUND
}

/** Sends a request of our own to a target, in its session, opening one where it is needed. */
async function ask(
  context: GatewayContext,
  request: Request,
  target: Target,
  { method, params }: { method: string; params: JsonObject },
  deadline: number,
): Promise<Collected> {
  const id = `mcp-descope-proxy-${method}`
  const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
  const attempt = (session: TargetSession | undefined) =>
    collect({
      target,
      caller: request.exchange.caller,
      method: 'POST',
      headers: upstreamHeaders(request.exchange, session),
      body,
      id,
      inSession: session?.id !== undefined,
      timeoutMs: 0,
      deadlineMs: Math.max(1, deadline - context.clock.now()),
      clock: context.clock,
    })
  const first = await attempt(targetSession(context, request, target))
  if (first.ok || !needsSession(first.failure)) return first
  const session = await openSession(context, request, target)
  if (session === undefined) return first
  const second = await attempt(session)
  if (request.sealed === undefined) void closeSession(context, request, target, session)
  return second
}

export function needsSession({ cause }: TargetFailure): boolean {
  return cause === 'session_lost' || cause === 'session_required'
}

/** Sends a request to every target and answers with an empty result when one took it. */
export async function broadcastRequest(
  context: GatewayContext,
  request: Request,
  { id, method, params }: Message,
): Promise<void> {
  const deadline = context.clock.now() + context.timeouts.list
  const answers = await Promise.all(
    context.targets.map((target) => ask(context, request, target, { method, params }, deadline)),
  )
  const { exchange } = request
  const failed = answers.find((answer) => !answer.ok)
  if (failed !== undefined && !failed.ok && answers.every((answer) => !answer.ok)) {
    return replyFailure(exchange, id, failed.failure)
  }
  exchange.reply.json(200, resultResponse(id as string | number, {}))
}

/** Passes a notification to every target that the client has a session with. */
export function broadcastNotification(
  context: GatewayContext,
  request: Request,
  message: Message,
): void {
  for (const target of context.targets) {
    const session = targetSession(context, request, target)
    if (request.session !== undefined && session === undefined) continue
    void notify(context, request, target, session, message.text)
  }
  request.exchange.reply.empty(202)
}

/** Takes a client's answer back to the target that asked. */
export function routeAnswer(context: GatewayContext, request: Request, message: Message): void {
  const { reply } = request.exchange
  const route = context.requestIds.route(message.id as string | number)
  const target = context.targets.find(({ name }) => name === route?.target)
  const span = message.spans.get('id')
  if (route === undefined || target === undefined || span === undefined) {
    const error = { code: -32600, message: 'The answer belongs to no request of ours' }
    return reply.json(400, errorResponse(null, error))
  }
  const text = replaceValues(message.text, [{ span, value: route.id }])
  void notify(context, request, target, targetSession(context, request, target), text)
  reply.empty(202)
}

/** Ends a client's sessions at all targets. */
export async function closeAll(context: GatewayContext, request: Request): Promise<void> {
  await Promise.all(
    context.targets.map(async (target) => {
      const session = targetSession(context, request, target)
      if (session !== undefined) await closeSession(context, request, target, session)
    }),
  )
  request.exchange.reply.empty(200)
}
