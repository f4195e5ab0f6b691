import { encodeHeaderValue } from '../mcp/headers.js'
import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import { type Message, replaceValues } from '../mcp/message.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { needsSession } from './ask.js'
import { type GatewayContext, type Request, targetSession, upstreamHeaders } from './context.js'
import type { TargetFailure } from './failure.js'
import { ListCache } from './list-cache.js'
import { changesList, exposeListMessage } from './lists.js'
import { closeSession, openSession } from './open-session.js'
import { type Rewrites, relay, replyFailure } from './relay.js'
import { exposeResourceLinks } from './resource-links.js'
import type { Route } from './route.js'
import type { TargetSession } from './sessions.js'
import type { Target } from './target.js'
import type { UpstreamSend } from './upstream-send.js'

/** Creates the function that sends one client message to one target and relays the answer. */
export function createForwarder(context: GatewayContext) {
  const cache = new ListCache()
  /** Tools that say that a second call changes nothing more. */
  const idempotent = new Set<string>()
  const severalTargets = context.targets.length > 1

  return (request: Request, message: Message, route: Route<Target>, modern: boolean): void => {
    const { exchange } = request
    const { target } = route
    exchange.record.target = target.name
    exchange.record.tool = route.tool
    if (route.tool !== undefined && !isAllowed(request, message, target, route.tool)) return
    const body =
      route.replacements.length === 0
        ? message.text
        : replaceValues(message.text, route.replacements)
    const session = modern ? undefined : targetSession(context, request, target)
    const send = sendOf(session)
    relay({
      exchange,
      send,
      rewrites: rewritesFor(request, message, target),
      recover: (failure) => {
        if (modern || !needsSession(failure)) return false
        // a target with a single client session says 404 itself, so that the client starts anew
        if (failure.cause === 'session_lost' && !severalTargets && !context.reopenSessions) {
          return false
        }
        if (message.kind !== 'request') {
          exchange.reply.empty(202)
          return true
        }
        void inNewSession(failure).then((answered) => {
          if (!answered) replyFailure(exchange, message.id, failure)
        })
        return true
      },
    })

    function sendOf(at: TargetSession | undefined): UpstreamSend {
      const headers = upstreamHeaders(exchange, at)
      if (modern) addModernHeaders(headers)
      const common = { target, caller: exchange.caller, method: 'POST', headers, body } as const
      const rest = { inSession: at?.id !== undefined, timeoutMs: context.timeouts.answer }
      return message.kind === 'request'
        ? { ...common, ...rest, id: message.id as RequestId }
        : { ...common, ...rest }
    }

    function addModernHeaders(headers: string[]): void {
      headers.push('mcp-method', message.method)
      if (route.name !== undefined && exchange.header('mcp-name') !== undefined) {
        headers.push('mcp-name', encodeHeaderValue(route.name))
      }
      headers.push(...exchange.extraHeaders())
    }

    /** Opens a session at the target for this request, or for the rest of the client's session. */
    async function inNewSession(failure: TargetFailure): Promise<boolean> {
      const opened = await openSession(context, request, target, session)
      if (opened?.id === undefined) return false
      if (failure.cause === 'session_lost' && context.reopenSessions && !isSafe(message, route)) {
        const reason = 'it forgot the session; the call may have run, so it was not sent again'
        replyFailure(exchange, message.id, { ...failure, reason })
        return true
      }
      const onEnd = () => {
        if (request.sealed === undefined) void closeSession(context, request, target, opened)
      }
      relay({
        exchange,
        send: sendOf(opened),
        rewrites: rewritesFor(request, message, target),
        onEnd,
      })
      return true
    }
  }

  function isAllowed(
    { exchange }: Request,
    message: Message,
    target: Target,
    tool: string,
  ): boolean {
    const decision = target.policy.decide(tool, exchange.caller.principal)
    if (decision.allowed) return true
    const id = message.id as RequestId
    if (!decision.hidden) exchange.reply.insufficientScope(id, decision.missingScopes)
    else {
      const error = { code: -32602, message: `Unknown tool: ${message.params['name']}` }
      exchange.reply.json(200, errorResponse(id, error))
    }
    return false
  }

  /** Tells whether a request may be sent twice without harm. */
  function isSafe({ method }: Message, { target, tool }: Route<Target>): boolean {
    if (tool === undefined) return true
    return method === 'tools/call' && idempotent.has(JSON.stringify([target.name, tool]))
  }

  function learnTool(target: Target, tool: JsonObject): void {
    const { annotations } = tool
    if (isObject(annotations) && annotations['idempotentHint'] === true) {
      idempotent.add(JSON.stringify([target.name, tool['name']]))
    }
  }

  function rewritesFor(request: Request, message: Message, target: Target): Rewrites {
    const { principal } = request.exchange.caller
    const { names } = context
    const onEntry = (entry: JsonObject) => learnTool(target, entry)
    const view = { target, names, method: message.method, principal, severalTargets, onEntry }
    if (changesList(view)) {
      const span = message.spans.get('id')
      const id = span === undefined ? '' : message.text.slice(span.start, span.end)
      const key = cacheKey(target, message.method, view.principal)
      return {
        response: (bytes) => cache.rewrite(key, id, bytes, (text) => exposeListMessage(view, text)),
      }
    }
    if (!severalTargets) return {}
    return {
      response: (bytes) => Buffer.from(exposeResourceLinks(target, bytes.toString('utf8'))),
      message: (text) => exposeRequestId(target, exposeResourceLinks(target, text)),
    }
  }

  /** A target's request to the client gets an id that finds the way back. */
  function exposeRequestId(target: Target, text: string): string {
    const value = tryParseJson(text)
    if (!isObject(value) || !('id' in value)) return text
    const id = context.requestIds.expose(target.name, value['id'] as RequestId)
    return JSON.stringify({ ...value, id })
  }
}

function cacheKey(
  target: Target,
  method: string,
  principal: Request['exchange']['caller']['principal'],
): string {
  const caller = target.policy.dependsOnCaller
    ? JSON.stringify([[...(principal?.scopes ?? [])], principal?.roles, principal?.tenant])
    : ''
  return JSON.stringify([target.name, method, caller])
}
