import { createHmac } from 'node:crypto'
import type { RequestId } from '../mcp/jsonrpc.js'
import { tryParseJson } from '../util/json.js'

const MARK_BYTES = 9

/**
 * Ids of requests that targets send to clients, when several targets share one server: the id that
 * the client sees names the target and is marked, so that the client's answer finds its way back
 * and cannot be turned to another target.
 */
export function createRequestIds(secret: string) {
  const mark = (payload: string) =>
    createHmac('sha256', secret)
      .update(payload)
      .digest()
      .subarray(0, MARK_BYTES)
      .toString('base64url')

  return {
    expose(target: string, id: RequestId): string {
      const payload = Buffer.from(JSON.stringify([target, id])).toString('base64url')
      return `p.${payload}.${mark(payload)}`
    },
    /** Returns `undefined` for an id that we did not give out. */
    route(exposed: RequestId): { target: string; id: RequestId } | undefined {
      const [kind, payload = '', sent, ...rest] = String(exposed).split('.')
      if (kind !== 'p' || rest.length > 0 || mark(payload) !== sent) return undefined
      const pair = tryParseJson(Buffer.from(payload, 'base64url').toString('utf8'))
      return Array.isArray(pair) ? { target: pair[0], id: pair[1] } : undefined
    },
  }
}

export type RequestIds = ReturnType<typeof createRequestIds>
