import { ERROR_CODES } from '../../mcp/jsonrpc.js'
import { isSameId, type Message } from '../../mcp/message.js'
import { messageOf } from '../../util/errors.js'
import { Roster, type Rostered } from '../../util/roster.js'
import type { GatewayContext } from '../context.js'
import { replyError, replyFailure } from '../exchange.js'
import { createMirroredParams } from '../lists/mirrored-params.js'
import { bindingKey, pendingOf, type Request } from '../request.js'
import type { RelationRefusal } from '../routing/relations.js'
import type { Route } from '../routing/route.js'
import type { Target } from '../target.js'
import type { TargetFailure } from './target-failure.js'

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
    relations: Promise<RelationRefusal | undefined> | undefined,
    send: (extraHeaders: readonly string[]) => void,
  ): Promise<void> {
    const { message, request } = call
    const { exchange } = request
    const refusal = await relations
    if (isOver(call)) return
    if (refusal !== undefined) return refuse(call, refusal)
    const checked = await checkParams(request, message, route)
    if (isOver(call)) return
    if ('headers' in checked) return send(checked.headers)
    replyError(exchange, message.id, ERROR_CODES.headerMismatch, checked.problem, 400)
  }

  const isOver = ({ isCancelled, request }: WaitingCall) =>
    isCancelled || request.pending?.hasLeft === true

  /** Keeps a call where a cancellation finds it, until the work on it is done. */
  function keep(
    request: Request,
    message: Message,
    work: (call: WaitingCall) => Promise<void>,
  ): void {
    const call = { place: -1, request: pendingOf(request), message, isCancelled: false }
    waiting.add(call)
    work(call)
      .catch((error) => {
        logger.error('internal', `A request failed: ${messageOf(error)}`)
        replyError(request.exchange, message.id, ERROR_CODES.internalError, 'Internal error')
      })
      .finally(() => waiting.delete(call))
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
      relations: Promise<RelationRefusal | undefined> | undefined,
      send: (extraHeaders: readonly string[]) => void,
    ): void {
      keep(request, message, (call) => decide(call, route, relations, send))
    },

    /** Goes on with a call once its tool is known, unless its client left or cancelled it meanwhile. */
    untilKnown(
      request: Request,
      message: Message,
      listed: Promise<TargetFailure | undefined>,
      goOn: () => void,
    ): void {
      keep(request, message, async (call) => {
        const failure = await listed
        if (isOver(call)) return
        // it is found no longer, since what comes next keeps it itself where it waits
        waiting.delete(call)
        if (failure === undefined) goOn()
        else replyFailure(request.exchange, message.id, failure)
      })
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
