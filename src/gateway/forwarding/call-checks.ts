import { ERROR_CODES } from '../../mcp/jsonrpc.js'
import { isSameId, type Message } from '../../mcp/message.js'
import { messageOf } from '../../util/errors.js'
import { Roster, type Rostered } from '../../util/roster.js'
import type { GatewayContext } from '../context.js'
import { replyError } from '../exchange.js'
import { createMirroredParams } from '../lists/mirrored-params.js'
import { bindingKey, pendingOf, type Request } from '../request.js'
import type { RelationRefusal } from '../routing/relations.js'
import type { Route } from '../routing/route.js'
import type { Target } from '../target.js'

/** A call that waits for the verdict of another service before it is sent. */
interface WaitingCall extends Rostered {
  readonly request: Request
  readonly message: Message
  isCancelled: boolean
}

/** Creates the place where calls wait until somebody has allowed them. */
export function createCallChecks(context: GatewayContext) {
  const { logger } = context
  const waiting = new Roster<WaitingCall>()
  const checkParams = createMirroredParams(context)

  async function decide(
    call: WaitingCall,
    route: Route<Target>,
    relations: Promise<RelationRefusal | undefined>,
    send: (extraHeaders: readonly string[]) => void,
  ): Promise<void> {
    const { message, request } = call
    const { exchange } = request
    const refusal = await relations
    if (call.isCancelled || request.pending?.hasLeft) return
    if (refusal !== undefined) return refuse(call, refusal)
    const checked = await checkParams(request, message, route)
    if (call.isCancelled || request.pending?.hasLeft) return
    if ('headers' in checked) return send(checked.headers)
    replyError(exchange, message.id, ERROR_CODES.headerMismatch, checked.problem, 400)
  }

  function refuse({ request, message }: WaitingCall, refusal: RelationRefusal): void {
    const { exchange } = request
    const { rule, text, isFailure } = refusal
    exchange.record.refusal = 'fga'
    exchange.record.rule = rule
    if (isFailure) logger.warn('fga_failed', text, { rule, target: exchange.record.target })
    const code = isFailure ? ERROR_CODES.internalError : ERROR_CODES.invalidParams
    replyError(exchange, message.id, code, text)
  }

  return {
    /** Sends a call once it is allowed, unless its client left or cancelled it meanwhile. */
    wait(
      request: Request,
      message: Message,
      route: Route<Target>,
      relations: Promise<RelationRefusal | undefined>,
      send: (extraHeaders: readonly string[]) => void,
    ): void {
      const call = { place: -1, request: pendingOf(request), message, isCancelled: false }
      waiting.add(call)
      decide(call, route, relations, send)
        .catch((error) => {
          logger.error('internal', `A request failed: ${messageOf(error)}`)
          replyError(request.exchange, message.id, ERROR_CODES.internalError, 'Internal error')
        })
        .finally(() => waiting.delete(call))
    },

    /**
     * Ends the call that a cancellation is about, where it still waits.
     *
     * @returns True when there was one, so that no target need be told.
     */
    cancel(request: Request, { params }: Message): boolean {
      let isFound = false
      const key = bindingKey(request)
      waiting.each((call) => {
        const { exchange } = call.request
        if (call.isCancelled || !isSameId(params['requestId'], call.message.id)) return
        if (bindingKey(call.request) !== key) return
        call.isCancelled = true
        isFound = true
        const text = 'The call was cancelled before it was sent'
        replyError(exchange, call.message.id, ERROR_CODES.invalidRequest, text)
      })
      return isFound
    },
  }
}

export type CallChecks = ReturnType<typeof createCallChecks>
