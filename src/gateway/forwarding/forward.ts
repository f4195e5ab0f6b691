import { INSUFFICIENT_USER_AUTHENTICATION } from '../../auth/tokens/token-source.js'
import { findMember, replaceParts } from '../../mcp/json-text.js'
import { ERROR_CODES, type RequestId } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { isObject } from '../../util/json.js'
import { isStandInSession } from '../connecting/in-place.js'
import type { GatewayContext } from '../context.js'
import { type Exchange, replyError, replyFailure } from '../exchange.js'
import { listTools } from '../lists/target-lists.js'
import { bindingKey, type Request } from '../request.js'
import type { createResponseRewriter, ResponseTransforms } from '../rewriting/response-rewriter.js'
import { withoutTaskCapability } from '../rewriting/withheld.js'
import { askRelations, isOursAlone, judge, judgedParts } from '../routing/judge.js'
import { type Decision, refusalWord } from '../routing/policy.js'
import { type Route, unknownText } from '../routing/route.js'
import type { TargetSession } from '../sessions/sealed-sessions.js'
import { closeSession, isLost, mayBeLost, openSession } from '../sessions/target-session.js'
import type { Target } from '../target.js'
import type { CallChecks } from './call-checks.js'
import { type RelayOptions, relay } from './relay.js'
import { isForgotten, type TargetFailure } from './target-failure.js'
import { statelessHeaders, type UpstreamSend, upstreamHeaders } from './upstream-send.js'

/** A client's message and the target that it goes to. */
export interface Forwarding {
  context: GatewayContext
  rewriter: ReturnType<typeof createResponseRewriter>
  request: Request
  message: Message
  route: Route<Target>
  checks: CallChecks
  /** Those that were compared with the body, where another service judged the call. */
  extraHeaders?: readonly string[]
}

/** Sends a client's message to its target and relays the answer. */
export function forward(forwarding: Forwarding): void {
  const { request, message, route, checks } = forwarding
  const { record } = request.exchange
  record.target = route.target.name
  record.tool = route.tool
  record.name = route.name
  const listed = route.tool === undefined ? undefined : toolOf(forwarding)
  if (listed === undefined) return decideAndForward(forwarding)
  checks.untilKnown(request, message, listed, () => decideAndForward(forwarding))
}

/** Rules may be about a tool as the target lists it, so that it has to be known. */
function toolOf({ context, request, route }: Forwarding) {
  const { target, name } = route
  const { principal } = request.exchange.caller
  if (target.knownTools === undefined || name === undefined) return undefined
  return target.knownTools.ensure(target, name, principal, () =>
    listTools(context, request, target),
  )
}

function decideAndForward(forwarding: Forwarding): void {
  const { request, message, route } = forwarding
  const { principal } = request.exchange.caller
  const span = request.exchange.span?.start('policy')
  const decision = judge(route.target, message, route.name, principal)
  span?.end({ 'mcp_proxy.allowed': decision.allowed })
  if (!decision.allowed) return refuse(request.exchange, message, decision)
  if (message.method !== 'tools/call') return relay(new Forward(forwarding))
  const relations = askRelations(route.target, route.name, message, principal)
  if (relations === undefined && !repeatsArguments(forwarding))
    return relay(new Forward(forwarding))
  forwarding.checks.wait(request, message, route, relations, (extraHeaders) =>
    relay(new Forward({ ...forwarding, extraHeaders })),
  )
}

/** Tells whether headers may say other arguments than those that a rule has decided by. */
function repeatsArguments({ request, route }: Forwarding): boolean {
  if (request.meta === undefined || route.target.rules?.needsArguments !== true) return false
  return request.exchange.extraHeaders().length > 0
}

/** Answers a request that a policy refuses; what is hidden, as what is not there. */
export function refuse(
  exchange: Exchange,
  message: Message,
  decision: Decision & { allowed: false },
): void {
  const id = message.id as RequestId
  exchange.record.refusal = refusalWord(decision)
  exchange.record.rule = decision.rule
  if (decision.hidden) {
    const text = decision.reason ?? unknownText(message)
    replyError(exchange, id, ERROR_CODES.invalidParams, text)
  } else if (decision.needsStepUp) askForStepUp(exchange, id, decision.missingScopes)
  else exchange.reply.insufficientScope(id, decision.missingScopes)
}

/** Where somebody can sign in on this side, that is done; else the client is asked to. */
function askForStepUp(exchange: Exchange, id: RequestId, scopes: readonly string[]): void {
  const { accessToken: refused } = exchange.caller
  const scope = scopes.join(' ') || undefined
  const challenge = {
    error: INSUFFICIENT_USER_AUTHENTICATION,
    ...(scope !== undefined && { scope }),
  }
  const need = { refused, challenge }
  const reason = 'somebody has to sign in with a step-up first'
  const target = exchange.record.target ?? ''
  const failure: TargetFailure = { cause: 'sign_in_required', target, reason, need }
  if (refused !== undefined && exchange.intercept?.(failure)) return
  exchange.reply.stepUpNeeded(id, scopes)
}

/** Writes the target's own names into the message, and with several targets a bound progress token. */
function withReplacements({ context, request, message, route }: Forwarding): string {
  const { text, spans, params } = message
  const meta = context.targets.length > 1 ? spans.get('_meta') : undefined
  const isMeta = meta !== undefined && isObject(params['_meta'])
  const token = isMeta ? findMember(text, meta.start, 'progressToken') : undefined
  const judged = judgedParts(route.target, message, request.exchange.caller.principal)
  const replacements = judged.length > 0 ? [...route.replacements, ...judged] : route.replacements
  if (token === undefined) return replaceParts(text, replacements)
  const written = text.slice(token.start, token.end)
  const { target } = route
  const bound = context.requestIds.bindToken(target.name, written, bindingKey(request))
  const { start, end } = token
  return replaceParts(text, [...replacements, { start, end, text: JSON.stringify(bound) }])
}

/** Drops the target's own error: it is about the target's session, which the client does not know. */
function forgotten({ answer: _answer, ...failure }: TargetFailure): TargetFailure {
  if (failure.cause === 'session_lost') return failure
  return { ...failure, cause: 'session_lost', reason: 'it answers 401 in a session that it forgot' }
}

function unlessRefused(failure: TargetFailure): TargetFailure {
  return failure.cause === 'refused_credential' ? failure : { ...failure, cause: 'http_status' }
}

/** A class, so that a call on the hot path allocates one object and no functions. */
class Forward implements RelayOptions {
  readonly exchange: Exchange
  readonly send: UpstreamSend
  readonly rewrites: ResponseTransforms
  readonly hasSession: boolean
  readonly #forwarding: Forwarding
  readonly #session: TargetSession | undefined

  constructor(forwarding: Forwarding, opened?: TargetSession) {
    const { context, rewriter, request, message, route, extraHeaders } = forwarding
    const isStateless = request.meta !== undefined
    this.exchange = request.exchange
    this.hasSession = request.sealed !== undefined
    const { principal } = this.exchange.caller
    this.#forwarding = forwarding
    this.#session = isStateless
      ? undefined
      : (opened ?? context.sessions.at(request.session, route.target.name))
    const isWithheld = isStateless && context.boundIds.withholds(route.target, principal)
    const body = withReplacements(forwarding)
    const isStream = isStateless && message.method === 'subscriptions/listen'
    // a plain call of a single target's tool brings nothing that would have to be changed
    const isPlain =
      route.tool !== undefined &&
      !isStateless &&
      !request.bindsIds &&
      !message.spans.has('task') &&
      route.target.resourcePolicy.isOpen
    this.rewrites = isPlain
      ? rewriter.none
      : rewriter.rewritesFor(request, message, route.target, route.name)
    const isMirrored = isStateless && this.exchange.header('mcp-name') !== undefined
    const mirroredName = isMirrored ? route.name : undefined
    const headers = isStateless
      ? statelessHeaders(context.clock, this.exchange, message.method, mirroredName, extraHeaders)
      : upstreamHeaders(context.clock, this.exchange, this.#session)
    this.send = {
      target: route.target,
      caller: this.exchange.caller,
      client: request.session,
      method: 'POST',
      headers,
      // it would answer with a task that cannot be given out
      body: isWithheld ? withoutTaskCapability(body) : body,
      id: message.kind === 'request' ? message.id : undefined,
      isOursAlone:
        route.tool !== undefined && isOursAlone(route.target, message, route.name, principal),
      inSession: this.#session?.id !== undefined,
      timeoutMs: isStream ? 0 : context.timeouts.answer,
      isStream,
      span: this.exchange.span,
    }
  }

  /** Opens a session at the target where that requires one, or has forgotten the client's. */
  recover(failure: TargetFailure): boolean {
    const { context, request, route } = this.#forwarding
    if (request.meta !== undefined) {
      // there are no sessions to recover, but another server may run there now: check its era again
      context.eras.suspect(route.target)
      return false
    }
    if (!mayBeLost(context, route.target, this.#session, failure)) return false
    const isRefused = failure.cause === 'refused_credential'
    if (isRefused || (isForgotten(failure) && failure.httpStatus === 400)) {
      void this.#makeSure(failure)
      return true
    }
    return this.#reopen(failure)
  }

  /** Finds out whether a 400 that mentions a session, or a 401, means the session that we sent. */
  async #makeSure(failure: TargetFailure): Promise<void> {
    const { context, request, message, route } = this.#forwarding
    const lost = await isLost(context, request, route.target, this.#session, failure)
    const known = lost ? forgotten(failure) : unlessRefused(failure)
    if (lost && this.#reopen(known)) return
    replyFailure(this.exchange, message.kind === 'request' ? message.id : undefined, known)
  }

  #reopen(failure: TargetFailure): boolean {
    const { context, message } = this.#forwarding
    // the client of a single target is told to initialize again, unless we do that for it
    const isOnly = context.targets.length === 1
    if (isForgotten(failure) && isOnly && !context.reopenSessions) return false
    if (message.kind !== 'request') this.exchange.reply.empty(202)
    else {
      void this.#sendInNewSession(failure).then((answered) => {
        if (answered) return
        // 404 would make the client initialize again at all targets
        const cause = isOnly ? failure.cause : 'http_status'
        replyFailure(this.exchange, message.id, { ...failure, cause })
      })
    }
    return true
  }

  /** Opens a session at the target, for this request or for the rest of the client's session. */
  async #sendInNewSession(failure: TargetFailure): Promise<boolean> {
    const { context, request, message, route } = this.#forwarding
    const opened = await openSession(context, request, route.target, this.#session)
    if (opened === undefined) return false
    if (opened.id === undefined && !isStandInSession(this.#session?.id)) return false
    if (isForgotten(failure) && context.reopenSessions && !this.#isSafe()) {
      const reason = 'it forgot the session; the call may have run, so it was not sent again'
      replyFailure(this.exchange, message.id, { ...failure, reason })
      return true
    }
    const { exchange, send, rewrites, hasSession } = new Forward(this.#forwarding, opened)
    const onEnd = () => {
      if (request.sealed === undefined) void closeSession(context, request, route.target, opened)
    }
    relay({ exchange, send, rewrites, hasSession, onEnd })
    return true
  }

  /** Tells whether the request may be sent twice without harm. */
  #isSafe(): boolean {
    const { rewriter, route } = this.#forwarding
    return route.tool === undefined || rewriter.isIdempotent(route.target, route.tool)
  }
}
