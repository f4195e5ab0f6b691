import { isObject } from '../util/json.js'
import type { Marks } from './marks.js'

/** Longer ids are not given out: clients send them back in a header. */
const MAX_LENGTH = 4096

/** Where a client stopped reading. */
export type Position =
  /** The answer to one call, which comes on a stream of one target. */
  | { target: string; id: string }
  /** The merged stream: the last event id of each target that gave one. */
  | { last: Map<string, string> }

/**
 * Event ids when several targets share one server. What a client sends back as `Last-Event-ID` says
 * by itself where each target's stream goes on, so that any replica can resume it.
 */
export function createEventIds(marks: Marks) {
  return {
    /** @returns `undefined` when the id would be too long to be sent back. */
    exposeOne: (target: string, id: string, holder: string) =>
      fitting(marks.mark('e', [target, id], holder)),
    exposeAll: (last: ReadonlyMap<string, string>, holder: string) =>
      fitting(marks.mark('e', Object.fromEntries(last), holder)),
    /** Returns `undefined` for an id that we did not give to this holder. */
    read(exposed: string, holder: string): Position | undefined {
      const value = exposed.length > MAX_LENGTH ? undefined : marks.read('e', exposed, holder)
      if (Array.isArray(value)) return { target: value[0], id: value[1] }
      if (!isObject(value)) return undefined
      return { last: new Map(Object.entries(value as Record<string, string>)) }
    },
  }
}

function fitting(id: string): string | undefined {
  return id.length > MAX_LENGTH ? undefined : id
}

export type EventIds = ReturnType<typeof createEventIds>
