import { claimsStateless, isStateless } from '../mcp/headers.js'
import { ERROR_CODES } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { isSessionBasedVersion, SESSION_BASED_VERSIONS } from '../mcp/versions.js'
import { messageOf } from '../util/errors.js'
import type { JsonObject } from '../util/json.js'
import type { GatewayContext } from './context.js'
import { type Exchange, replyError } from './exchange.js'
import { forward } from './forwarding/forward.js'
import {
  broadcastRequest,
  closeAll,
  federateList,
  followEmptyCursor,
  followsEmptyCursor,
  routeAnswer,
} from './lists/fan-out.js'
import { createLastLists } from './lists/last-known-lists.js'
import { listKind } from './lists/lists.js'
import { pendingOf, type Request } from './request.js'
import { createBoundIds, unbindIds } from './rewriting/bound-ids.js'
import { createResponseRewriter } from './rewriting/response-rewriter.js'
import {
  createCursors,
  createEventIds,
  createRequestIds,
  createSigner,
} from './rewriting/signed-ids.js'
import { createWithhold } from './rewriting/withheld.js'
import { createAliasLearner } from './routing/aliases.js'
import { createNames, tellNames } from './routing/names.js'
import { asItIs, createRouter, exposedName, isAboutIds, isAddressed } from './routing/route.js'
import { createDeclared } from './sessions/capabilities.js'
import { initialize } from './sessions/initialize.js'
import { createEras } from './sessions/protocol-eras.js'
import type { Session } from './sessions/sealed-sessions.js'
import { createStatelessEntrance } from './stateless.js'
import { createNotifications } from './streams/client-notifications.js'
import { createGetStream } from './streams/get-stream.js'
import { listenToAll } from './streams/listen.js'
import type { Target } from './target.js'

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

/** Creates the gateway. Nothing is connected before the first message. */
export function createGateway(all: GatewayOptions): Gateway {
  const { secrets, maxNameLength, bindsAlone, ...options } = all
  const signer = createSigner(secrets)
  const declared = createDeclared()
  const { targets, sessions, logger } = options
  const names = createNames(targets, maxNameLength, tellNames(logger))
  const context: GatewayContext = {
    ...options,
    names,
    requestIds: createRequestIds(signer),
    eventIds: createEventIds(signer),
    // what no other process could read leads nowhere there; a cursor is no secret of anybody
    cursors: createCursors(secrets.length > 0 ? signer : createSigner(['cursor'])),
    boundIds: createBoundIds({ targets, signer, signsForAll: secrets.length > 0 }),
    lastLists: createLastLists(options.clock),
    eras: createEras({ ...options, declared }),
    declared,
    withhold: createWithhold(logger, options.clock),
  }
  const only = targets.length === 1 ? targets[0] : undefined
  const route = createRouter(targets, names, context.boundIds)
  const rewriter = createResponseRewriter(context)
  const learnAlias = createAliasLearner(context)
  const listen = createGetStream(context, rewriter)
  const notifications = createNotifications(context)
  const { mayCancel } = notifications
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
    if (only !== undefined && isBound && cancels && !mayCancel(request, message, only)) {
      return request.exchange.reply.empty(202)
    }
    if (only !== undefined && !(isBound && isAboutIds(message))) {
      return forward({ context, rewriter, request, message, route: asItIs(only) })
    }
    if (message.kind === 'response') routeAnswer(context, request, message)
    else notifications.send(request, message)
  }

  /** Tells whether any target gets messages with this method. */
  function takers(method: string): boolean {
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
        return forward({ context, rewriter, request, message, route: routed })
      }
      return replyError(exchange, message.id, ERROR_CODES.invalidParams, routed.message)
    }
    const isHidden = message.method === 'tasks/list' && !context.boundIds.keepsAll(principal)
    if (only !== undefined && followsEmptyCursor(message)) {
      return run(exchange, message, followEmptyCursor(context, pendingOf(request), only, message))
    }
    if (only !== undefined && !isHidden) {
      return forward({ context, rewriter, request, message, route: asItIs(only) })
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

  function refuseUnknown({ exchange, meta }: Request, { id, method }: Message): void {
    const status = meta === undefined ? 200 : 404
    replyError(exchange, id, ERROR_CODES.methodNotFound, `Unknown method: ${method}`, status)
  }

  /**
   * Opens the session that a request names. Answers 404 when we did not issue it to this caller, and
   * 400 when the request claims another protocol version than the session's, or an unknown one.
   * `initialize` negotiates the version, so that its header is no reason to refuse it.
   *
   * @param message What a POST carries.
   * @see [MCP 2025-11-25, Protocol Version Header](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header)
   */
  function openRequest(exchange: Exchange, message?: Message): Request | undefined {
    // an empty header is what some clients write who have none
    const sealed = exchange.header('mcp-session-id') || undefined
    const refuse = (status: number, code: number, text: string) => {
      exchange.record.refusal = status === 404 ? 'session' : 'protocol'
      const id = status === 404 ? undefined : message?.id
      replyError(exchange, id, code, text, status)
      return undefined
    }
    const session =
      sealed === undefined ? undefined : sessions.open(sealed, exchange.caller.principal)
    if (sealed !== undefined && session === undefined) {
      return refuse(404, -32001, 'Session not found: initialize again')
    }
    const claimed = exchange.header('mcp-protocol-version')
    // other known versions pass: the target gets the session's version in any case
    const isSpoken =
      claimed === undefined || claimed === session?.version || isSessionBasedVersion(claimed)
    if (isSpoken || message?.method === 'initialize') return newRequest(exchange, session, sealed)
    const spoken = session?.version ?? SESSION_BASED_VERSIONS.join(', ')
    const who = session === undefined ? 'without _meta, this server' : 'this session'
    const text = `Unsupported MCP-Protocol-Version ${JSON.stringify(claimed.slice(0, 40))}; ${who} speaks ${spoken}`
    return refuse(400, ERROR_CODES.invalidRequest, text)
  }

  /** Answers with an error when our own work fails, so that no request is left waiting. */
  function run(exchange: Exchange, { id }: Message, work: Promise<void>): void {
    work.catch((error) => {
      context.logger.error('internal', `A request failed: ${messageOf(error)}`)
      replyError(exchange, id, ERROR_CODES.internalError, 'Internal error')
    })
  }

  return {
    targets,

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
        message.method === 'initialize' ? newRequest(exchange) : openRequest(exchange, message)
      if (request !== undefined) handle(request, message)
    },

    listen(exchange) {
      exchange.record.method = 'GET'
      const request = openRequest(exchange)
      if (request !== undefined) listen(request)
    },

    end(exchange) {
      exchange.record.method = 'DELETE'
      const request = openRequest(exchange)
      if (request === undefined) return
      closeAll(context, request).catch(() => exchange.reply.empty(200))
    },

    async close() {
      await Promise.all(targets.map(({ upstream }) => upstream.close()))
    },
  }
}
