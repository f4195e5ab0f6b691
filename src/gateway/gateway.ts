import { ERROR_CODES } from '../mcp/jsonrpc.js'
import { claimsStateless, isStateless, type Message } from '../mcp/message.js'
import { messageOf } from '../util/errors.js'
import type { JsonObject } from '../util/json.js'
import { type Admitted, byAdmission, createHiddenNote } from './admission.js'
import type { GatewayContext } from './context.js'
import { type Exchange, replyError } from './exchange.js'
import { createCallChecks } from './forwarding/call-checks.js'
import { forward } from './forwarding/forward.js'
import { createLasting, type Lasting } from './lasting.js'
import {
  broadcastRequest,
  closeAll,
  federateList,
  followEmptyCursor,
  followsEmptyCursor,
  routeAnswer,
} from './lists/fan-out.js'
import { listKind } from './lists/lists.js'
import { createAliasLearner } from './lists/target-lists.js'
import { pendingOf, type Request } from './request.js'
import { createBoundIds, unbindIds } from './rewriting/bound-ids.js'
import { createResponseRewriter } from './rewriting/response-rewriter.js'
import {
  createCursors,
  createEventIds,
  createRequestIds,
  createSigner,
} from './rewriting/signed-ids.js'
import { createNames, tellNames } from './routing/names.js'
import {
  asItIs,
  createRouter,
  exposedName,
  isAboutIds,
  isAddressed,
  type Route,
} from './routing/route.js'
import { initialize } from './sessions/initialize.js'
import { openRequest, type Session } from './sessions/sealed-sessions.js'
import { createStatelessEntrance } from './stateless.js'
import { createNotifications } from './streams/client-notifications.js'
import { createGetStream } from './streams/get-stream.js'
import { listenToAll } from './streams/listen.js'
import { callerOf, LoneSubscription, type TakeOver, takeOverStream } from './streams/open-stream.js'
import { isKnownMethod, type Target } from './target.js'

export type GatewayOptions = Pick<
  GatewayContext,
  'targets' | 'sessions' | 'clock' | 'logger' | 'timeouts' | 'offersStreams' | 'reopenSessions'
> & {
  /** Ids of a single target are bound to their callers too, where the target cannot tell callers apart. */
  bindsAlone: boolean
  /** Longest name that clients see. */
  maxNameLength: number
  /** Keys for the ids that we issue: the first signs, all verify. The same on every replica. */
  secrets: readonly string[]
  /** Of the gateway whose place this one takes. */
  lasting?: Lasting | undefined
}

/** Takes an MCP message to its targets and the answer back, whatever transport the client uses. */
export interface Gateway {
  readonly targets: readonly Target[]
  post(exchange: Exchange, message: Message): void
  /** Opens the stream of messages that targets send unasked (GET). */
  listen(exchange: Exchange): void
  /** Ends a session (DELETE). */
  end(exchange: Exchange): void
  close(): Promise<void>
}

/** A gateway that takes the place of another one with other settings. */
export interface LastingGateway extends Gateway {
  /** What the gateway learned, for another one that takes its place. */
  readonly lasting: Lasting
  takeOver: TakeOver
}

/**
 * Creates the gateway. Nothing is connected before the first message. Each caller meets a gateway of
 * those targets only that admit the caller.
 */
export function createGateway(all: GatewayOptions): LastingGateway {
  const { secrets, maxNameLength, bindsAlone, lasting: _lasting, ...options } = all
  const signer = createSigner(secrets)
  const { targets, logger } = options
  const lasting = all.lasting ?? createLasting(options)
  const shared = {
    ...options,
    ...lasting,
    lasting,
    opener: {},
    requestIds: createRequestIds(signer),
    eventIds: createEventIds(signer),
    // what no other process could read leads nowhere there; a cursor is no secret of anybody
    cursors: createCursors(secrets.length > 0 ? signer : createSigner(['cursor'])),
  }
  const open = (admitted: Admitted) =>
    createView(
      {
        ...shared,
        targets: admitted.targets,
        names: createNames(admitted.targets, maxNameLength, tellNames(logger)),
        boundIds: createBoundIds({
          targets: admitted.targets,
          signer,
          signsForAll: secrets.length > 0,
        }),
      },
      admitted,
      bindsAlone,
    )
  const close = async () => {
    await Promise.all(targets.map(({ upstream }) => upstream.close()))
  }
  const isOpenToAll = targets.every(({ barrier }) => barrier === undefined)
  if (isOpenToAll) return { targets, lasting, ...open({ targets, hidden: [] }), close }
  const viewOf = byAdmission(targets, open)
  return {
    targets,
    close,
    post: (exchange, message) => viewOf(exchange.caller.principal).post(exchange, message),
    listen: (exchange) => viewOf(exchange.caller.principal).listen(exchange),
    end: (exchange) => viewOf(exchange.caller.principal).end(exchange),
    lasting,
    takeOver(stream, changed) {
      viewOf(callerOf(stream)).takeOver(stream, changed)
    },
  }
}

type View = Pick<LastingGateway, 'post' | 'listen' | 'end' | 'takeOver'>

/** Creates the gateway of callers who are admitted to the same targets. */
function createView(context: GatewayContext, { hidden }: Admitted, bindsAlone: boolean): View {
  const { targets, names, sessions, logger } = context
  const noteHidden = createHiddenNote(hidden)
  const only = targets.length === 1 ? targets[0] : undefined
  const route = createRouter(targets, names, context.boundIds)
  const rewriter = createResponseRewriter(context)
  const learnAlias = createAliasLearner(context)
  const getStreams = createGetStream(context, rewriter)
  const notifications = createNotifications(context)
  const { mayCancel } = notifications
  const checks = createCallChecks(context)
  const enterStateless = createStatelessEntrance({ context, newRequest, handle, run })

  function newRequest(
    exchange: Exchange,
    session?: Session,
    sealed?: string,
    meta?: JsonObject,
  ): Request {
    const isAlone = session === undefined && exchange.caller.principal !== undefined
    const bindsIds = only === undefined || (bindsAlone && isAlone)
    return { exchange, sealed, session, bindsIds, meta }
  }

  function handle(request: Request, asSent: Message): void {
    const { kind, spans, method } = asSent
    // no other message names a task besides what it asks for
    const mayNameTasks =
      kind === 'response' || spans.has('_meta') || method === 'subscriptions/listen'
    const { principal } = request.exchange.caller
    const message = mayNameTasks ? unbindIds(context.boundIds, asSent, principal) : asSent
    if (message.kind === 'request') return handleRequest(request, message)
    if (message.kind === 'notification' && !takers(message.method)) {
      logger.debug(
        'unknown_method',
        `No target takes the notification ${JSON.stringify(message.method.slice(0, 100))}`,
      )
      return request.exchange.reply.empty(202)
    }
    if (isAddressed(message.method)) {
      // a target that acts on it without an id would bypass the policy
      const text = `${message.method} needs an "id"`
      return replyError(request.exchange, undefined, ERROR_CODES.invalidRequest, text, 400)
    }
    const isBound = request.bindsIds
    const cancels = message.method === 'notifications/cancelled'
    const isHeld = only !== undefined && isBound && cancels && !mayCancel(request, message, only)
    if (isHeld || (cancels && checks.cancel(request, message))) {
      return request.exchange.reply.empty(202)
    }
    if (only !== undefined && !(isBound && isAboutIds(message))) {
      return send(request, message, asItIs(only))
    }
    if (message.kind === 'response') routeAnswer(context, request, message)
    else notifications.send(request, message)
  }

  /** Tells whether any target gets messages with this method. */
  function takers(method: string): boolean {
    // somebody who is admitted nowhere meets a server that offers nothing
    if (targets.length === 0) return isKnownMethod(method)
    return targets.some((target) => target.takesMethod(method))
  }

  function handleRequest(request: Request, message: Message): void {
    const name = exposedName(message)
    // every target takes what has one
    if (name === undefined && !takers(message.method)) return refuseUnknown(request, message)
    if (request.bindsIds) notifications.watch(request)
    if (message.method === 'initialize') {
      const pending = pendingOf(request)
      return run(request.exchange, message, initialize(context, pending, message))
    }
    const isUnknown = name !== undefined && names.isUnknownAlias(name)
    const learning = isUnknown ? learnAlias(name, request) : undefined
    if (learning === undefined) return routeRequest(request, message)
    const routed = learning.then(() => routeRequest(request, message))
    run(request.exchange, message, routed)
  }

  function routeRequest(request: Request, message: Message): void {
    const { exchange } = request
    const { principal } = exchange.caller
    const routed = route(message, principal)
    if (routed !== undefined) {
      if ('target' in routed) {
        if (only === undefined) notifications.remember(request, message, routed.target)
        return send(request, message, routed)
      }
      noteHidden(exchange.record, message, principal)
      return replyError(exchange, message.id, ERROR_CODES.invalidParams, routed.message)
    }
    const isHidden = message.method === 'tasks/list' && !context.boundIds.keepsAll(principal)
    if (only !== undefined && followsEmptyCursor(message)) {
      return run(exchange, message, followEmptyCursor(context, pendingOf(request), only, message))
    }
    if (only !== undefined && !isHidden) {
      if (message.method === 'subscriptions/listen') {
        exchange.reply.stays = new LoneSubscription(context, request, message, only)
      }
      return send(request, message, asItIs(only))
    }
    if (listKind(message.method) !== undefined)
      return run(exchange, message, federateList(context, pendingOf(request), message))
    const isStateless = request.meta !== undefined
    if (isStateless && message.method === 'subscriptions/listen') {
      return listenToAll(context, request, message)
    }
    if (!isStateless && (message.method === 'ping' || message.method === 'logging/setLevel')) {
      return run(exchange, message, broadcastRequest(context, pendingOf(request), message))
    }
    refuseUnknown(request, message)
  }

  function send(request: Request, message: Message, to: Route<Target>): void {
    forward({ context, checks, rewriter, request, message, route: to })
  }

  function refuseUnknown({ exchange, meta }: Request, { id, method }: Message): void {
    const status = meta === undefined ? 200 : 404
    replyError(exchange, id, ERROR_CODES.methodNotFound, `Unknown method: ${method}`, status)
  }

  /** Answers with an error when our own work fails, so that no request is left waiting. */
  function run(exchange: Exchange, { id }: Message, work: Promise<void>): void {
    work.catch((error) => {
      context.logger.error('internal', `A request failed: ${messageOf(error)}`)
      replyError(exchange, id, ERROR_CODES.internalError, 'Internal error')
    })
  }

  return {
    post(exchange, message) {
      exchange.record.method = message.method
      // an initialize with a protocolVersion is session-based, whatever its headers and _meta say
      const initializes = message.method === 'initialize' && 'protocolVersion' in message.params
      const version = exchange.header('mcp-protocol-version')
      if (!initializes && (isStateless(message) || claimsStateless(message, version))) {
        return enterStateless(exchange, message)
      }
      // initialize opens a new session, so that an old one in its headers does not matter
      const request =
        message.method === 'initialize'
          ? newRequest(exchange)
          : openRequest(sessions, newRequest, exchange, message)
      if (request !== undefined) handle(request, message)
    },

    listen(exchange) {
      exchange.record.method = 'GET'
      const request = openRequest(sessions, newRequest, exchange)
      if (request !== undefined) getStreams.open(request)
    },

    end(exchange) {
      exchange.record.method = 'DELETE'
      const request = openRequest(sessions, newRequest, exchange)
      if (request === undefined) return
      closeAll(context, request, hidden).catch(() => exchange.reply.empty(200))
    },

    takeOver: (stream, changed) => takeOverStream(stream, { context, ...getStreams }, changed),
  }
}
