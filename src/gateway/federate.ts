import { errorResponse, resultResponse } from '../mcp/jsonrpc.js'
import { type Message, replaceValues } from '../mcp/message.js'
import type { JsonObject } from '../util/json.js'
import { ask, readList } from './ask.js'
import { type GatewayContext, holderOf, type Request, targetSession } from './context.js'
import type { TargetFailure } from './failure.js'
import { exposeList, listKind } from './lists.js'
import { closeSession, notify } from './open-session.js'
import { replyFailure } from './reply-failure.js'

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
  const member = listKind(message.method)?.member as string
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

/** Takes a client's answer back to the target that asked. */
export function routeAnswer(context: GatewayContext, request: Request, message: Message): void {
  const { reply } = request.exchange
  const route = context.requestIds.route(message.id as string | number, holderOf(request))
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
