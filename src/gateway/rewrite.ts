import type { Principal } from '../auth/principal.js'
import type { Message } from '../mcp/message.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { type GatewayContext, holderOf, type Request } from './context.js'
import { exposeHandles, HANDLE_MARKS, type Parties } from './handle-texts.js'
import { ListCache } from './list-cache.js'
import { changesList, exposeListMessage, type ListView } from './lists.js'
import { exposeResourceLinks } from './resource-links.js'
import type { Rewrites } from './rewrites.js'
import { exposeServerMessage } from './server-messages.js'
import type { Target } from './target.js'

const NONE: Rewrites = {}
const REPLAYED_MARKS = ['"result"', ...HANDLE_MARKS]

/** Creates what changes targets' answers on their way to clients: lists, resource URIs, ids. */
export function createRewriter({
  targets,
  names,
  requestIds,
  eventIds,
  handles,
  reopenSessions,
}: Pick<
  GatewayContext,
  'targets' | 'names' | 'requestIds' | 'eventIds' | 'handles' | 'reopenSessions'
>) {
  const cache = new ListCache()
  /** Tools that say that a second call changes nothing more; only who repeats calls asks. */
  const idempotent = new Set<string>()
  const severalTargets = targets.length > 1

  function rewriteList(view: ListView, message: Message): Rewrites {
    const span = message.spans.get('id')
    const id = span === undefined ? '' : message.text.slice(span.start, span.end)
    const key = cacheKey(view)
    return {
      known: (bytes) => cache.find(key, id, bytes),
      response: (bytes) => cache.rewrite(key, id, bytes, (text) => exposeListMessage(view, text)),
    }
  }

  return {
    rewritesFor(request: Request, message: Message, target: Target): Rewrites {
      const { method } = message
      if (changesList({ method, severalTargets })) {
        const { principal } = request.exchange.caller
        const onEntry = (tool: JsonObject) => {
          const key = toolKey(target, tool['name'])
          if (saysIdempotent(tool)) idempotent.add(key)
          else idempotent.delete(key)
        }
        const view = { target, names, method, principal, severalTargets }
        return rewriteList(reopenSessions ? { ...view, onEntry } : view, message)
      }
      const { principal } = request.exchange.caller
      const parties = { handles, target, principal }
      if (!severalTargets) {
        const isBound = mayGiveHandles(request, message) && handles.isBound(target, principal)
        return isBound ? rewriteHandles(parties) : NONE
      }
      const holder = holderOf(request)
      return {
        response: (bytes) => changed(bytes, (text) => exposeAll(parties, text)),
        message: (text) =>
          exposeHandles(parties, exposeServerMessage(requestIds, target, text, holder)),
        eventId: (id) => eventIds.exposeOne(target.name, id, holder),
      }
    },

    /** A resumed stream may bring a list again, whose request came before it. */
    rewritesForStream(request: Request, target: Target): Rewrites {
      const { principal } = request.exchange.caller
      const replayed = (text: string) => {
        const method = listMethodOf(text)
        if (method === undefined) return undefined
        return exposeListMessage({ target, names, method, principal, severalTargets }, text)
      }
      const parties = { handles, target, principal }
      if (!severalTargets) {
        if (!handles.isBound(target, principal)) return { replayed }
        return {
          replayed: (text) => replayed(text) ?? exposeHandles(parties, text),
          replayedMarks: REPLAYED_MARKS,
        }
      }
      const holder = holderOf(request)
      return {
        replayed: (text) =>
          replayed(text) ??
          exposeHandles(parties, exposeServerMessage(requestIds, target, text, holder)),
        eventId: (id) => eventIds.exposeOne(target.name, id, holder),
      }
    },

    isIdempotent: (target: Target, tool: string) => idempotent.has(toolKey(target, tool)),
  }
}

/** Exposes the resource URIs and the handles in a message of one of several targets. */
export function exposeAll(parties: Parties, text: string): string {
  return exposeHandles(parties, exposeResourceLinks(parties.target, text))
}

function rewriteHandles(parties: Parties): Rewrites {
  return {
    response: (bytes) =>
      HANDLE_MARKS.some((mark) => bytes.includes(mark))
        ? changed(bytes, (text) => exposeHandles(parties, text))
        : undefined,
    message: (text) => exposeHandles(parties, text),
  }
}

/** Of the older era, only what makes or asks for a task. */
function mayGiveHandles({ meta }: Request, { method, spans }: Message): boolean {
  return meta !== undefined || spans.has('task') || method.startsWith('tasks/')
}

/** What is not changed stays the bytes that it is. */
function changed(bytes: Buffer, rewrite: (text: string) => string): Buffer | undefined {
  const text = bytes.toString('utf8')
  const rewritten = rewrite(text)
  return rewritten === text ? undefined : Buffer.from(rewritten)
}

/** Finds out whose answer this is: of the two methods whose lists change with one target, too. */
function listMethodOf(text: string): string | undefined {
  const message = tryParseJson(text)
  if (!isObject(message) || !isObject(message['result'])) return undefined
  const { result } = message
  if (Array.isArray(result['tools'])) return 'tools/list'
  return Array.isArray(result['prompts']) ? 'prompts/list' : undefined
}

function saysIdempotent({ annotations }: JsonObject): boolean {
  return isObject(annotations) && annotations['idempotentHint'] === true
}

function toolKey(target: Target, tool: unknown): string {
  return JSON.stringify([target.name, tool])
}

function cacheKey({ target, method, principal }: ListView): string {
  return JSON.stringify([target.name, method, target.policy.dependsOnCaller && viewOf(principal)])
}

/** All of a caller that a policy looks at. */
function viewOf(principal: Principal | undefined) {
  return [[...(principal?.scopes ?? [])], principal?.roles, principal?.tenant]
}
