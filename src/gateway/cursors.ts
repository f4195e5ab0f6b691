import { isObject, ownMember } from '../util/json.js'
import type { Marks } from './marks.js'

/**
 * Cursors into the lists of several targets: each names the targets that have more, with their own
 * cursors, so that any replica can go on.
 */
export function createCursors(marks: Marks) {
  return {
    expose: (method: string, next: ReadonlyMap<string, string>, holder: string) =>
      marks.mark('c', { [method]: Object.fromEntries(next) }, holder),
    /** Returns `undefined` for a cursor that we did not give to this holder for this method. */
    read(method: string, exposed: unknown, holder: string): Map<string, string> | undefined {
      const value = typeof exposed === 'string' ? marks.read('c', exposed, holder) : undefined
      const next = isObject(value) ? ownMember(value, method) : undefined
      return isObject(next) ? new Map(Object.entries(next as Record<string, string>)) : undefined
    },
  }
}

export type Cursors = ReturnType<typeof createCursors>
