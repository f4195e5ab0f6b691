import type { RequestId } from '../mcp/jsonrpc.js'
import type { Marks } from './marks.js'

/** An id or a progress token of one target. */
export interface TargetId {
  target: string
  id: RequestId
}

/**
 * Ids of requests that targets send to clients, when several targets share one server: the id that
 * the client sees names the target and is marked, so that the client's answer finds its way back
 * and cannot be turned to another target. The progress tokens of those requests likewise.
 */
export function createRequestIds(marks: Marks) {
  const read = (kind: 'p' | 't', exposed: RequestId, holder: string): TargetId | undefined => {
    const pair = marks.read(kind, String(exposed), holder)
    return Array.isArray(pair) ? { target: pair[0], id: pair[1] } : undefined
  }

  return {
    expose: (target: string, id: RequestId, holder = '') => marks.mark('p', [target, id], holder),
    exposeToken: (target: string, token: RequestId, holder = '') =>
      marks.mark('t', [target, token], holder),
    /**
     * Makes the progress token that a target gets with a client's request, so that it can tell of no
     * other's progress. Clients count their tokens, and use the same ones at all targets.
     *
     * @param written The client's own, as it wrote it.
     */
    bindToken: (target: string, written: string, holder: string) =>
      marks.mark('n', [target, written], holder),
    /** Returns the client's own token as it was written; `undefined` for one that is not bound so. */
    readToken(target: string, bound: RequestId, holder: string): string | undefined {
      const pair = marks.read('n', String(bound), holder)
      return Array.isArray(pair) && pair[0] === target ? String(pair[1]) : undefined
    },
    /** Returns `undefined` for an id that we did not give out. */
    route: (exposed: RequestId, holder = '') => read('p', exposed, holder),
    routeToken: (exposed: RequestId, holder = '') => read('t', exposed, holder),
  }
}

export type RequestIds = ReturnType<typeof createRequestIds>
