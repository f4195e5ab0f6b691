import type { RequestId } from '../mcp/jsonrpc.js'
import { isObject } from '../util/json.js'
import type { Marks } from './marks.js'

/** Longer ids are not given out: clients send them back in a header. */
const MAX_LENGTH = 4096

/** Where a client stopped reading. */
export type Position =
  /** The stream of one target; with a request, that of its answer. */
  | { target: string; id: string; request: RequestId | undefined }
  /** The merged stream: the last event id of each target that gave one. */
  | { last: Map<string, string> }

/**
 * Event ids when several targets share one server. What a client sends back as `Last-Event-ID` says
 * by itself where each target's stream goes on, so that any replica can resume it.
 */
export function createEventIds(marks: Marks) {
  return {
    /**
     * @param request Whose answer comes on the stream: no other's comes when it is resumed.
     * @returns `undefined` when the id would be too long to be sent back.
     */
    exposeOne: (target: string, id: string, holder: string, request?: RequestId) =>
      fitting(marks.mark('e', [target, id, request], holder)),
    /** Leaves out the longest ones where all together are too long: others can be resumed then. */
    exposeAll(last: ReadonlyMap<string, string>, holder: string): string | undefined {
      const kept = [...last].sort(([, a], [, b]) => a.length - b.length)
      for (; kept.length > 0; kept.pop()) {
        const id = fitting(marks.mark('e', Object.fromEntries(kept), holder))
        if (id !== undefined) return id
      }
      return undefined
    },
    /** Returns `undefined` for an id that we did not give to this holder. */
    read(exposed: string, holder: string): Position | undefined {
      const value = exposed.length > MAX_LENGTH ? undefined : marks.read('e', exposed, holder)
      if (Array.isArray(value)) {
        return { target: value[0], id: value[1], request: value[2] ?? undefined }
      }
      if (!isObject(value)) return undefined
      return { last: new Map(Object.entries(value as Record<string, string>)) }
    },
  }
}

function fitting(id: string): string | undefined {
  return id.length > MAX_LENGTH ? undefined : id
}

export type EventIds = ReturnType<typeof createEventIds>
