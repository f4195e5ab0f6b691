import type { Principal } from '../../auth/principal.js'
import { eachValue } from '../../mcp/incoming.js'
import { findMember, replaceParts, skipSpace } from '../../mcp/json-text.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { isObject, type JsonObject, ownMember, tryParseJson } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { isAnswerTo, type Resumed } from '../forwarding/answer-check.js'
import {
  exposeListMessage,
  LIST_KINDS,
  type ListView,
  listKind,
  listPolicy,
} from '../lists/lists.js'
import { ListCache } from '../lists/rewritten-lists.js'
import { bindingKey, type Request } from '../request.js'
import type { Target } from '../target.js'
import { BOUND_ID_MEMBERS, bindIds, type Parties } from './bound-ids.js'
import {
  createCompletionFilter,
  withoutHiddenResources,
  withoutValues,
} from './judged-resources.js'
import { exposeResourceLinks } from './resource-links.js'
import { exposeElicitations, exposeServerMessage, whyNoServerMessage } from './server-messages.js'
import { refuseIssuedIds, type Withhold } from './withheld.js'

/** Events without any of these are plain requests and notifications that hold no ids to bind. */
const WATCHED = ['"result"', '"error"', ...BOUND_ID_MEMBERS]

/** Creates the functions that change targets' answers for clients: lists, resource URIs, ids. */
export function createResponseRewriter(context: GatewayContext) {
  const { targets, names, requestIds, eventIds, boundIds, reopenSessions, withhold } = context
  const cache = new ListCache()
  /** Tools that declare themselves idempotent; kept only where calls may be repeated. */
  const idempotent = new Set<string>()
  const severalTargets = targets.length > 1
  const none: ResponseTransforms = { withhold }

  function rewriteList(view: ListView, message: Message): ResponseTransforms {
    const span = message.spans.get('id')
    const id = span === undefined ? '' : message.text.slice(span.start, span.end)
    const key = cacheKey(view)
    const expose = (text: string) => exposeListMessage(view, text)
    // rules depend on the time, and take from each list what the tools are now
    if (view.method === 'tools/list' && view.target.rules !== undefined)
      return { withhold, response: (bytes) => changed(bytes, (text) => expose(text) ?? text) }
    return {
      withhold,
      known: (bytes) => cache.find(key, id, bytes),
      response: (bytes) => cache.rewrite(key, id, bytes, expose),
    }
  }

  /** Exposes a request or a notification; {@link LEFT_OUT} when the target may not send it. */
  function exposeSpoken(parties: Parties, target: Target, text: string, key: string): string {
    const options = { target, bindingKey: key, severalTargets, takesAnswers: boundIds.canBind }
    const exposed = exposeServerMessage(requestIds, text, options)
    if ('text' in exposed) return bindIds(parties, exposed.text)
    withhold(target, exposed.withheld)
    return LEFT_OUT
  }

  function rewriteBound(request: Request, target: Target, id?: RequestId): ResponseTransforms {
    const { principal } = request.exchange.caller
    const parties = { boundIds, target, principal }
    const key = bindingKey(request)
    return {
      withhold,
      message: (text) => exposeSpoken(parties, target, text, key),
      eventId: (own) =>
        boundIds.canBind ? eventIds.exposeOne(target.name, own, key, id) : undefined,
    }
  }

  return {
    /** Those of a call that brings nothing to be changed. */
    none,

    /** @param own The target's own name or URI of what the request names. */
    rewritesFor(
      request: Request,
      message: Message,
      target: Target,
      own?: string,
    ): ResponseTransforms {
      const { principal } = request.exchange.caller
      const rewrites = this.rewritesWithin(request, message, target)
      const { barrier, resourcePolicy } = target
      const isOwn = barrier !== undefined || resourcePolicy.dependsOnCaller
      const isShared = message.method === 'resources/read' && request.meta !== undefined
      const kept = isShared && isOwn ? keptFromOthers(rewrites) : rewrites
      const isCompletion = message.method === 'completion/complete' && message.spans.has('ref.uri')
      const filter =
        isCompletion && own !== undefined
          ? createCompletionFilter(target, message, own, principal)
          : undefined
      return judged(filter === undefined ? kept : filtered(kept, filter), target, principal)
    },

    /** Those that hold whoever may use the target. */
    rewritesWithin(request: Request, message: Message, target: Target): ResponseTransforms {
      const { method } = message
      const { principal } = request.exchange.caller
      const bound = request.bindsIds ? rewriteBound(request, target, message.id) : none
      if (listKind(method) !== undefined) {
        const onEntry = (tool: JsonObject) => {
          const key = toolKey(target, tool['name'])
          if (saysIdempotent(tool)) idempotent.add(key)
          else idempotent.delete(key)
        }
        const { cursor } = message.params
        const view = { target, names, method, principal, severalTargets, cursor }
        return { ...bound, ...rewriteList(reopenSessions ? { ...view, onEntry } : view, message) }
      }
      const parties = { boundIds, target, principal }
      const givesIds = mayGiveIds(request, message)
      const expose = (bytes: Buffer) =>
        severalTargets ? changed(bytes, (text) => exposeAll(parties, text)) : undefined
      if (givesIds && boundIds.withholds(target, principal)) {
        return { ...bound, response: (bytes) => refuseIssuedIds(bytes) ?? expose(bytes) }
      }
      if (severalTargets) return { ...bound, response: expose }
      const isBound = givesIds && boundIds.isBound(target, principal)
      return isBound ? { ...bindAnswer(parties), ...bound } : bound
    },

    /**
     * Makes the transforms for a stream without a request of its own (GET): for requests and
     * notifications, and for the answer where the stream of one is resumed. That answer may be a list.
     */
    rewritesForStream(
      request: Request,
      target: Target,
      resumed: Resumed | undefined,
    ): ResponseTransforms {
      const { principal } = request.exchange.caller
      const parties = { boundIds, target, principal }
      const { bindsIds } = request
      const key = bindingKey(request)
      const exposeAnswer = (answer: string) => {
        let text = answer
        const method = listMethodOf(text)
        const view = { target, names, method: method ?? '', principal, severalTargets }
        const list = method === undefined ? undefined : exposeListMessage(view, text)
        if (list !== undefined) return list
        // which template it completes is not known any more
        if (!target.resourcePolicy.isOpen) text = withoutValues(text, () => false)
        return severalTargets ? exposeAll(parties, text) : bindIds(parties, text)
      }
      const exposeUnbound = (text: string, message: unknown) => {
        const problem = whyNoServerMessage(text, message)
        if (problem === undefined) return bindIds(parties, text)
        withhold(target, problem)
        return LEFT_OUT
      }
      const replayedOne = (message: unknown, text: string) => {
        if (resumed !== undefined && isAnswerTo(message, resumed)) return exposeAnswer(text)
        return bindsIds ? exposeSpoken(parties, target, text, key) : exposeUnbound(text, message)
      }
      const replayed = (data: string) => {
        const all: string[] = []
        eachValue(data, (message, text) => all.push(replayedOne(message, text)))
        const [first = LEFT_OUT, ...others] = all.filter((text) => text !== LEFT_OUT)
        return others.length === 0 ? first : `[${[first, ...others].join(',')}]`
      }
      const rewrites = bindsIds
        ? { ...rewriteBound(request, target, resumed?.request), replayed }
        : { withhold, replayed, replayedMarks: WATCHED }
      return judged(rewrites, target, principal)
    },

    isIdempotent: (target: Target, tool: string) => idempotent.has(toolKey(target, tool)),
  }
}

/** Exposes the resource URIs and binds the ids in a message of one of several targets. */
export function exposeAll(parties: Parties, text: string): string {
  const { target } = parties
  return bindIds(parties, exposeElicitations(target, exposeResourceLinks(target, text)))
}

function bindAnswer(parties: Parties): ResponseTransforms {
  return {
    response: (bytes) =>
      BOUND_ID_MEMBERS.some((mark) => bytes.includes(mark))
        ? changed(bytes, (text) => bindIds(parties, text))
        : undefined,
    message: (text) => bindIds(parties, text),
  }
}

/** Keeps what only some callers may read from caches that serve others too. */
function keptFromOthers(rewrites: ResponseTransforms): ResponseTransforms {
  const keep = (text: string) => {
    const result = findMember(text, skipSpace(text, 0), 'result')
    const scope = result && findMember(text, result.start, 'cacheScope')
    return scope === undefined ? text : replaceParts(text, [{ ...scope, text: '"private"' }])
  }
  return {
    ...rewrites,
    response: (bytes) => {
      const rewritten = rewrites.response?.(bytes)
      return changed(rewritten ?? bytes, keep) ?? rewritten
    },
  }
}

/** Tells whether an answer may hold ids to bind. Session-based, only requests about tasks have such. */
function mayGiveIds({ meta }: Request, { method, spans }: Message): boolean {
  return meta !== undefined || spans.has('task') || method.startsWith('tasks/')
}

/** Rewrites bytes as text; returns `undefined` when that changes nothing. */
function changed(bytes: Buffer, rewrite: (text: string) => string): Buffer | undefined {
  const text = bytes.toString('utf8')
  const rewritten = rewrite(text)
  return rewritten === text ? undefined : Buffer.from(rewritten)
}

/** Finds the method of a list by its result. */
function listMethodOf(text: string): string | undefined {
  const message = tryParseJson(text)
  if (!isObject(message) || !isObject(message['result'])) return undefined
  const { result } = message
  return Object.entries(LIST_KINDS).find(([, { member }]) =>
    Array.isArray(ownMember(result, member)),
  )?.[0]
}

/** Leaves out of messages what the caller may not hear of the target's resources. */
function judged(
  rewrites: ResponseTransforms,
  target: Target,
  principal: Principal | undefined,
): ResponseTransforms {
  if (target.resourcePolicy.isOpen) return rewrites
  const { message, replayed, replayedMarks: _marks, ...others } = rewrites
  const judge = (rewrite: typeof message) => (text: string) => {
    const heard = withoutHiddenResources(target, text, principal)
    return heard === undefined ? LEFT_OUT : (rewrite?.(heard) ?? heard)
  }
  return { ...others, message: judge(message), ...(replayed && { replayed: judge(replayed) }) }
}

/** Filters a response before all else is done with it. */
function filtered(
  rewrites: ResponseTransforms,
  filter: (text: string) => string,
): ResponseTransforms {
  const response = (bytes: Buffer) => {
    const kept = changed(bytes, filter)
    return rewrites.response?.(kept ?? bytes) ?? kept
  }
  return { ...rewrites, response }
}

function saysIdempotent({ annotations }: JsonObject): boolean {
  return isObject(annotations) && annotations['idempotentHint'] === true
}

function toolKey(target: Target, tool: unknown): string {
  return JSON.stringify([target.name, tool])
}

function cacheKey({ target, method, principal, cursor }: ListView): string {
  const caller = listPolicy(target, method).dependsOnCaller && viewOf(principal)
  return JSON.stringify([target.name, method, caller, cursor])
}

/** Returns what policies look at in a caller. */
function viewOf(principal: Principal | undefined) {
  const { scopes = [], roles, permissions, tenant } = principal ?? {}
  return [[...scopes], roles, permissions, tenant]
}

/** Stands for a message that the client does not get. */
export const LEFT_OUT = ''

/** How an answer is changed on its way to the client. */
export interface ResponseTransforms {
  /** Logs what the client does not get. */
  withhold?: Withhold
  /** Finds what an equal answer was rewritten to before. */
  known?: (bytes: Buffer) => Buffer | undefined
  /** Rewrites the response's bytes; `undefined` leaves them as they are. */
  response?: (bytes: Buffer) => Buffer | undefined
  /**
   * Rewrites a message that precedes the response: a notification, or a request to the client.
   * Returns {@link LEFT_OUT} where the client does not get it.
   */
  message?: (text: string) => string
  /** Rewrites a message of a stream without a request (GET), in the same way. */
  replayed?: (text: string) => string
  /** Events of such a stream without any of these pass unchanged. */
  replayedMarks?: readonly string[]
  /** Exposes an event's id; `undefined` removes it. */
  eventId?: (id: string) => string | undefined
}
