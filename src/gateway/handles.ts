import { ownerOf } from '../auth/owner.js'
import type { Principal } from '../auth/principal.js'
import type { Marks } from './marks.js'
import type { Named } from './names.js'

/** For clients and operators alike. */
export const WHY_WITHHELD = 'they cannot be kept from other users without SESSION_SECRET'

/** Stands in no target's name. */
const SEPARATOR = '.'

/** A target as far as its handles are concerned. */
export interface HandleTarget extends Named {
  readonly credential: { readonly perCaller?: boolean }
}

export interface HandlesOptions<T extends HandleTarget> {
  targets: readonly T[]
  marks: Marks
  /** Every process that a caller may meet can read our marks. */
  marksLast: boolean
}

/**
 * What targets hand out to be given back: ids of tasks, and states of requests that wait for input.
 * Where a target gets the same credential for all callers it cannot tell them apart, so that we do:
 * what it hands out is marked for the caller, and is nothing when somebody else shows it. Elsewhere a
 * task's id begins with the target's name when there are several, to lead back to it, and all else
 * stays as it is. What cannot be marked so, because other processes could not read it, is not handed
 * out at all.
 *
 * @see [SEP-2663, tasks](https://modelcontextprotocol.io/seps/2663-tasks-extension)
 */
export function createHandles<T extends HandleTarget>({
  targets,
  marks,
  marksLast,
}: HandlesOptions<T>) {
  const only = targets.length === 1 ? targets[0] : undefined

  const isBound = ({ credential }: HandleTarget, principal: Principal | undefined) =>
    marksLast && isShared(credential, principal)

  const withholds = ({ credential }: HandleTarget, principal: Principal | undefined) =>
    !marksLast && isShared(credential, principal)

  function readBound(kind: 'k' | 's', exposed: string, principal: Principal | undefined) {
    const pair = marks.read(kind, exposed, ownerOf(principal))
    const target = Array.isArray(pair) && targets.find(({ name }) => name === pair[0])
    if (!target || !isBound(target, principal)) return undefined
    return { target, own: String((pair as string[])[1]) }
  }

  return {
    isOneOfSeveral: only === undefined,

    /** Tells whether what a target hands out is marked for the caller. */
    isBound,

    /** Tells whether what a target hands out cannot be marked though it must be. */
    withholds,

    /** Tells whether ids can be bound to who gets them. */
    canBind: marksLast,

    /** Tells whether all that this caller holds is as its target handed it out. */
    keepsAll: (principal: Principal | undefined): boolean =>
      only !== undefined && !isBound(only, principal) && !withholds(only, principal),

    exposeTask(target: HandleTarget, own: string, principal: Principal | undefined): string {
      if (isBound(target, principal)) {
        return marks.mark('k', [target.name, own], ownerOf(principal))
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

    exposeState(target: HandleTarget, own: string, principal: Principal | undefined): string {
      if (!isBound(target, principal)) return own
      return marks.mark('s', [target.name, own], ownerOf(principal))
    },

    /** Returns the target's own state; `undefined` when it gave this caller no such state. */
    readState(
      target: HandleTarget,
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
  { perCaller }: HandleTarget['credential'],
  principal: Principal | undefined,
): boolean {
  return principal !== undefined && perCaller !== true
}

export type Handles<T extends HandleTarget = HandleTarget> = ReturnType<typeof createHandles<T>>
