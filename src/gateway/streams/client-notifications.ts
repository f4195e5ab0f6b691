import type { RequestId } from '../../mcp/jsonrpc.js'
import { type Message, replaceValues } from '../../mcp/message.js'
import { BoundedMap } from '../../util/bounded-map.js'
import type { GatewayContext } from '../context.js'
import { bindingKey, type Request } from '../request.js'
import { notify, targetSession } from '../sessions/target-session.js'
import type { Target } from '../target.js'

/** So many calls are remembered; the oldest is forgotten first, ended or not. */
const MAX_CALLS = 4_000

/** Calls with longer ids, as JSON, are not. */
const MAX_ID_LENGTH = 256

/**
 * Creates the functions that take a client's notifications to those of several targets whom they
 * concern: progress to the target that asked for it, a cancellation to the one that has the call,
 * everything else to all.
 */
export function createNotifications(context: GatewayContext) {
  const { targets, requestIds } = context
  /** Which target has which call of a session. */
  const calls = new BoundedMap<string, Target>(MAX_CALLS)

  function send(request: Request, message: Message): void {
    const { params, spans, text } = message
    const { reply } = request.exchange
    const span = spans.get('progressToken')
    if (message.method === 'notifications/progress' && span !== undefined) {
      const token = params['progressToken'] as RequestId
      const route = requestIds.routeToken(token, bindingKey(request))
      const target = targets.find(({ name }) => name === route?.target)
      if (route !== undefined && target !== undefined) {
        sendTo(request, [target], replaceValues(text, [{ span, value: route.id }]))
      }
    } else if (message.method === 'notifications/cancelled') {
      // one that came by another process is known to no one here; the other targets ignore it
      const target = calls.get(callKey(request, params['requestId']) ?? '')
      sendTo(request, target === undefined ? targets : [target], text)
    } else {
      const takers = targets.filter((target) => target.takesMethod(message.method))
      sendTo(request, takers, text)
    }
    reply.empty(202)
  }

  /** Sends to those targets that the client has a session with. */
  function sendTo(request: Request, receivers: readonly Target[], text: string): void {
    for (const target of receivers) {
      const session = targetSession(context, request, target)
      if (request.session !== undefined && session === undefined) continue
      void notify(context, request, target, session, text)
    }
  }

  /** Remembers where a call went. */
  function remember(request: Request, { id }: Message, target: Target): void {
    const key = callKey(request, id)
    if (key !== undefined) calls.set(key, target)
  }

  return { send, remember }
}

/** Ids are unique in a session only. */
function callKey({ session }: Request, id: unknown): string | undefined {
  const text = session === undefined ? undefined : JSON.stringify(id)
  if (session === undefined || text === undefined || text.length > MAX_ID_LENGTH) return undefined
  return `${session.key} ${text}`
}
