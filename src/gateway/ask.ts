import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { type Collected, collect } from './collect.js'
import { type GatewayContext, type Request, targetSession, upstreamHeaders } from './context.js'
import type { TargetFailure } from './failure.js'
import { exposeList, listKind } from './lists.js'
import { closeSession, openSession } from './open-session.js'
import type { TargetSession } from './sessions.js'
import type { Target } from './target.js'

const MAX_PAGES = 100
const METHOD_NOT_FOUND = -32601

/** What one target contributes to a list: its entries, nothing, or a failure. */
export type Part =
  | { target: Target; results: JsonObject[] }
  | { target: Target; failure: TargetFailure }

/**
 * Reads all lists of tools and prompts once, so that aliases of other processes are known here.
 *
 * @returns The targets whose names could not be read.
 */
export async function learnNames(
  context: GatewayContext,
  request: Request,
): Promise<ReadonlySet<Target>> {
  const unread = new Set<Target>()
  await Promise.all(
    context.targets.flatMap((target) =>
      ['tools/list', 'prompts/list'].map(async (method) => {
        const part = await readList(context, request, target, method)
        if ('failure' in part) {
          unread.add(target)
          return
        }
        const { principal } = request.exchange.caller
        const view = { target, names: context.names, method, principal, severalTargets: true }
        for (const result of part.results) exposeList(view, result)
      }),
    ),
  )
  return unread
}

/** Reads all pages of a target's list within the list deadline. */
export async function readList(
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
    if (isObject(result) && Array.isArray(result[listKind(method)?.member as string])) {
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
export async function ask(
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
      pending: request.pending,
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
