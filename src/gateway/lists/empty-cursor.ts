import type { Message } from '../../mcp/message.js'
import type { JsonObject } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { replyFailure } from '../exchange.js'
import type { Request } from '../request.js'
import type { Target } from '../target.js'
import { listResponse } from './fan-out.js'
import { exposeEntries, listKind } from './lists.js'
import { readPage } from './target-lists.js'

/** Tells whether a client follows a cursor that may be one, or say that there is no more. */
export function followsEmptyCursor({ method, params }: Message): boolean {
  return params['cursor'] === '' && listKind(method) !== undefined
}

/**
 * Answers a client that follows `"nextCursor": ""` of a single target. Where that leads back to the
 * beginning, the list has ended; where it leads on, there is what the first page has not.
 */
export async function followEmptyCursor(
  context: GatewayContext,
  request: Request,
  target: Target,
  message: Message,
): Promise<void> {
  const { method } = message
  const deadline = context.clock.now() + context.timeouts.answer
  const ask = (params: JsonObject) =>
    readPage(context, request, target, { method, params }, deadline)
  const [first, page] = await Promise.all([ask({}), ask({ cursor: '' })])
  const { exchange } = request
  if ('failure' in page) return replyFailure(exchange, message.id, page.failure)
  const { principal } = exchange.caller
  const seen = new Set('failure' in first ? [] : first.names)
  const isNews = page.names.some((name) => typeof name === 'string' && !seen.has(name))
  const view = { target, names: context.names, method, principal, severalTargets: false, seen }
  const entries = page.text === undefined ? [] : exposeEntries(view, page.text)
  const leadsOn = isNews && page.next !== undefined && page.next !== ''
  exchange.reply.json(200, listResponse(message, entries, leadsOn ? { nextCursor: page.next } : {}))
}
