import { callerId } from '../../auth/principal.js'
import { replaceParts } from '../../mcp/json-text.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import { isSameId, type Message } from '../../mcp/message.js'
import type { GatewayContext } from '../context.js'
import type { UnderWay } from '../exchange.js'
import { bindingKey, type Request } from '../request.js'
import { notify } from '../sessions/target-session.js'
import type { Target } from '../target.js'

/** Calls whose id is longer than this, as JSON, are not remembered. */
const MAX_ID_LENGTH = 256

/**
 * Creates the functions that send a client's notifications to those of several targets that they
 * concern: progress to the target that requested it, a cancellation to the one that has the call,
 * everything else to all.
 */
export function createNotifications(context: GatewayContext) {
  const { targets, requestIds, running, calls } = context

  function send(request: Request, message: Message): void {
    const { params, spans, text } = message
    const { reply } = request.exchange
    const span = spans.get('progressToken')
    if (message.method === 'notifications/progress' && span !== undefined) {
      const token = params['progressToken'] as RequestId
      const route = requestIds.routeToken(token, bindingKey(request))
      const target = targets.find(({ name }) => name === route?.target)
      if (route !== undefined && target !== undefined) {
        sendTo(request, [target], replaceParts(text, [{ ...span, text: route.written }]))
      }
    } else if (message.method === 'notifications/cancelled') {
      // a call that another process took is not known here: all are told, and others ignore it
      const target = calls.get(callKey(request, params['requestId']) ?? '')
      const receivers = target === undefined ? targets : [target]
      sendTo(
        request,
        receivers.filter((receiver) => mayCancel(request, message, receiver)),
        text,
      )
    } else {
      const takers = targets.filter((target) => target.takesMethod(message.method))
      sendTo(request, takers, text)
    }
    reply.empty(202)
  }

  /** Sends to those targets that the client has a session with. */
  function sendTo(request: Request, receivers: readonly Target[], text: string): void {
    for (const target of receivers) {
      const session = context.sessions.at(request.session, target.name)
      if (request.session !== undefined && session === undefined) continue
      void notify(context, request, target, session, text)
    }
  }

  /** Remembers where a call went. */
  function remember(request: Request, { id }: Message, target: Target): void {
    const key = callKey(request, id)
    if (key !== undefined) calls.set(key, target)
  }

  /** Notes a request as under way until it has ended. */
  function watch({ exchange }: Request): void {
    if (exchange.caller.principal === undefined) return
    const underWay: UnderWay = { place: -1, exchange, list: running }
    running.add(underWay)
    exchange.underWay = underWay
  }

  /**
   * Tells whether a target may get a cancellation. One that tells no callers apart would cancel the
   * request of whoever uses that id, so it gets none while another caller has one under way.
   */
  function mayCancel(request: Request, { params }: Message, target: Target): boolean {
    const { principal } = request.exchange.caller
    if (principal === undefined || target.credential.perCaller) return true
    if (context.sessions.at(request.session, target.name)?.id !== undefined) return true
    const own = callerId(principal)
    let isForeign = false
    running.each(({ exchange: { id, record, caller } }) => {
      if (!isSameId(params['requestId'], id)) return
      const isElsewhere = record.target !== undefined && record.target !== target.name
      if (!isElsewhere && callerId(caller.principal) !== own) isForeign = true
    })
    return !isForeign
  }

  return { send, remember, watch, mayCancel }
}

/** Returns the key of a call, whose id is unique within its session only. */
function callKey({ session }: Request, id: unknown): string | undefined {
  const text = session === undefined ? undefined : JSON.stringify(id)
  if (session === undefined || text === undefined || text.length > MAX_ID_LENGTH) return undefined
  return `${session.key} ${text}`
}
