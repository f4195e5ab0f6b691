import { callerId, type Principal } from '../../auth/principal.js'
import {
  type Edit,
  elementsAt,
  findMember,
  readString,
  replaceParts,
  type TextSpan,
} from '../../mcp/json-text.js'
import { type Message, parseMessageText } from '../../mcp/message.js'
import { isObject, tryParseJson } from '../../util/json.js'
import type { Named } from '../routing/names.js'
import { exposeResourceLinks } from './resource-links.js'
import type { Signer } from './signed-ids.js'

/** Told to clients and logged for operators. */
export const WHY_WITHHELD = 'they cannot be kept from other users without SESSION_SECRET'

/** Occurs in no target's name. */
const SEPARATOR = '.'

/** What binding ids needs to know of a target. */
export interface BoundIdTarget extends Named {
  readonly credential: { readonly perCaller?: boolean }
}

/**
 * Binds what targets issue for later requests to the caller: the ids of tasks, and the states of
 * requests that wait for input. A target that gets the same credential for all callers cannot tell them
 * apart, so we sign what it issues for the caller, and it is rejected when another caller presents it.
 * For other targets, a task's id begins with the target's name when there are several, and everything
 * else stays as it is. What must be signed, and cannot be because other processes could not verify it,
 * is withheld.
 *
 * @param options.signsForAll Every process that may serve a caller can verify the ids that we sign.
 * @see [SEP-2663, tasks](https://modelcontextprotocol.io/seps/2663-tasks-extension)
 */
export function createBoundIds<T extends BoundIdTarget>(options: {
  targets: readonly T[]
  signer: Signer
  signsForAll: boolean
}) {
  const { targets, signer, signsForAll } = options
  const only = targets.length === 1 ? targets[0] : undefined

  const isBound = ({ credential }: BoundIdTarget, principal: Principal | undefined) =>
    signsForAll && isShared(credential, principal)

  const withholds = ({ credential }: BoundIdTarget, principal: Principal | undefined) =>
    !signsForAll && isShared(credential, principal)

  function readBound(kind: 'k' | 's', exposed: string, principal: Principal | undefined) {
    const pair = signer.verify(kind, exposed, callerId(principal))
    const target = Array.isArray(pair) && targets.find(({ name }) => name === pair[0])
    if (!target || !isBound(target, principal)) return undefined
    return { target, own: String((pair as string[])[1]) }
  }

  return {
    isOneOfSeveral: only === undefined,

    /** Tells whether what a target issues is signed for the caller. */
    isBound,

    /** Tells whether what a target issues is withheld: it must be signed, and cannot be. */
    withholds,

    /** Tells whether ids can be bound to callers. */
    canBind: signsForAll,

    /** Tells whether everything that this caller holds is as its target issued it. */
    keepsAll: (principal: Principal | undefined): boolean =>
      only !== undefined && !isBound(only, principal) && !withholds(only, principal),

    exposeTask(target: BoundIdTarget, own: string, principal: Principal | undefined): string {
      if (isBound(target, principal)) {
        return signer.sign('k', [target.name, own], callerId(principal))
      }
      return only === undefined ? target.name + SEPARATOR + own : own
    },

    /** Finds the target and its own id; `undefined` when this caller has no such task. */
    routeTask(
      exposed: string,
      principal: Principal | undefined,
    ): { target: T; own: string } | undefined {
      const bound = readBound('k', exposed, principal)
      if (bound !== undefined) return bound
      const at = only === undefined ? exposed.indexOf(SEPARATOR) : -1
      const target = only ?? targets.find(({ name }) => name === exposed.slice(0, at))
      if (target === undefined || isShared(target.credential, principal)) return undefined
      return { target, own: exposed.slice(at + 1) }
    },

    exposeState(target: BoundIdTarget, own: string, principal: Principal | undefined): string {
      if (!isBound(target, principal)) return own
      return signer.sign('s', [target.name, own], callerId(principal))
    },

    /** Returns the target's own state; `undefined` when it gave this caller no such state. */
    readState(
      target: BoundIdTarget,
      exposed: string,
      principal: Principal | undefined,
    ): string | undefined {
      if (!isShared(target.credential, principal)) return exposed
      const bound = readBound('s', exposed, principal)
      return bound?.target.name === target.name ? bound.own : undefined
    },
  }
}

/** The target gets the same credential for all callers, and cannot tell them apart. */
function isShared(
  { perCaller }: BoundIdTarget['credential'],
  principal: Principal | undefined,
): boolean {
  return principal !== undefined && perCaller !== true
}

export type BoundIds<T extends BoundIdTarget = BoundIdTarget> = ReturnType<typeof createBoundIds<T>>

/** A message without one of these holds no id to bind; the last one begins a name written in escapes. */
export const BOUND_ID_MEMBERS = ['"taskId', '"requestState"', '\\u00']

/** Of 2026-07-28 and of 2025-11-25. */
const STATUS: ReadonlySet<unknown> = new Set(['notifications/tasks', 'notifications/tasks/status'])

/** @see [MCP 2025-11-25, tasks](https://modelcontextprotocol.io/specification/2025-11-25/basic/utilities/tasks#related-task-metadata) */
const RELATED = 'io.modelcontextprotocol/related-task'

/** Whose message it is. */
export interface Parties {
  boundIds: BoundIds
  target: BoundIdTarget
  principal: Principal | undefined
}

/**
 * Binds the ids in a target's message: the task that a result or a notification is about, the one that
 * it belongs to, those of a subscription, and the state of a request that waits for input. With several
 * targets, also exposes the resource URIs in a task's result. Returns the same text when there are
 * none.
 */
export function bindIds({ boundIds, target, principal }: Parties, text: string): string {
  if (!BOUND_ID_MEMBERS.some((mark) => text.includes(mark))) return text
  const message = tryParseJson(text)
  if (!isObject(message)) return text
  const parts: Edit[] = []
  const replace = (place: TextSpan | undefined, expose: (own: string) => string) => {
    const own = readString(text, place)
    if (place !== undefined && own !== undefined) {
      parts.push({ ...place, text: JSON.stringify(expose(own)) })
    }
  }
  const exposeTask = (own: string) => boundIds.exposeTask(target, own, principal)
  const params = findMember(text, 0, 'params')
  const result = findMember(text, 0, 'result')
  const teller = STATUS.has(message['method']) ? params : result
  if (teller !== undefined && text[teller.start] === '{') {
    const task = findMember(text, teller.start, 'task') ?? teller
    const id = findMember(text, task.start, 'taskId')
    replace(id, exposeTask)
    const own = id && findMember(text, task.start, 'result')
    if (own !== undefined) {
      parts.push({ ...own, text: exposeResult(boundIds, target, text.slice(own.start, own.end)) })
    }
  }
  for (const part of [params, result]) {
    if (part !== undefined) replace(relatedTask(text, part), exposeTask)
  }
  const subscribed = elementsAt(text, 0, 'params', 'notifications', 'taskIds')
  for (const id of subscribed) replace(id, exposeTask)
  replace(result && findMember(text, result.start, 'requestState'), (own) =>
    boundIds.exposeState(target, own, principal),
  )
  return replaceParts(text, parts)
}

const HEAD = '{"result":'

function exposeResult(boundIds: BoundIds, target: BoundIdTarget, result: string): string {
  if (!boundIds.isOneOfSeveral) return result
  return exposeResourceLinks(target, `${HEAD}${result}}`).slice(HEAD.length, -1)
}

/**
 * Puts the targets' own task ids into what a client's message says besides what it asks for: the
 * task that it belongs to, and those that it subscribes to at a single target. Those that the caller
 * does not have are left out.
 */
export function unbindIds(
  boundIds: BoundIds,
  message: Message,
  principal: Principal | undefined,
): Message {
  const { text } = message
  if (!mayNameTasks(message) || boundIds.keepsAll(principal)) return message
  const parts: Edit[] = []
  for (const name of ['params', 'result']) {
    const part = findMember(text, 0, name)
    const place = part && relatedTask(text, part)
    const own = boundIds.routeTask(readString(text, place) ?? '', principal)?.own
    if (place !== undefined && own !== undefined) {
      parts.push({ ...place, text: JSON.stringify(own) })
    }
  }
  const ids = findMember(text, 0, 'params', 'notifications', 'taskIds')
  if (ids !== undefined && !boundIds.isOneOfSeveral) {
    const own = elementsAt(text, ids.start).flatMap((place) => {
      return boundIds.routeTask(readString(text, place) ?? '', principal)?.own ?? []
    })
    parts.push({ ...ids, text: JSON.stringify(own) })
  }
  return parts.length === 0 ? message : parseMessageText(replaceParts(text, parts))
}

/** Runs for every message, and so looks at as little of it as possible. */
function mayNameTasks({ kind, method, params, text }: Message): boolean {
  if (kind === 'response') return text.includes(RELATED)
  const meta = params['_meta']
  return method === 'subscriptions/listen' || (isObject(meta) && RELATED in meta)
}

function relatedTask(text: string, { start }: TextSpan): TextSpan | undefined {
  return findMember(text, start, '_meta', RELATED, 'taskId')
}
