import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { tryParseJson } from '../util/json.js'

const MARK_BYTES = 12

/**
 * What a mark is for: `p` an id of a target's request, `t` its progress token, `n` that of a client's
 * request, `e` an event id, `c` a cursor, `k` a task, `s` the state of a request. A value that was made for one is nothing to another.
 */
export type MarkKind = 'p' | 't' | 'n' | 'e' | 'c' | 'k' | 's'

/**
 * Values that clients hold for us and give back, on any replica with the same secrets: readable, but
 * worth nothing when changed, or given back by somebody else (HMAC-SHA-256).
 *
 * @param secrets The first marks, all are accepted. Without any, only this process knows its marks.
 */
export function createMarks(secrets: readonly string[]) {
  const known = secrets.length > 0 ? secrets : [randomBytes(32)]
  const keys = known.map((secret) =>
    Buffer.from(hkdfSync('sha256', secret, '', 'mcp-descope-proxy marks v1', 32)),
  )

  const markOf = (key: Buffer, kind: MarkKind, payload: string, holder: string) =>
    createHmac('sha256', key)
      .update(`${kind}\n${holder}\n${payload}`)
      .digest()
      .subarray(0, MARK_BYTES)

  return {
    /** @param holder Who may give it back: a session or a subject. */
    mark(kind: MarkKind, value: unknown, holder: string): string {
      const payload = Buffer.from(JSON.stringify(value)).toString('base64url')
      const mark = markOf(keys[0] as Buffer, kind, payload, holder).toString('base64url')
      return `${kind}.${payload}.${mark}`
    },
    /** Returns `undefined` for what we did not give to this holder. */
    read(kind: MarkKind, text: string, holder: string): unknown {
      const [head, payload = '', sent = '', ...rest] = text.split('.')
      if (head !== kind || rest.length > 0) return undefined
      const given = Buffer.from(sent, 'base64url')
      // the decoder is lenient; one mark has one spelling
      if (given.length !== MARK_BYTES || given.toString('base64url') !== sent) return undefined
      const fits = keys.some((key) => timingSafeEqual(markOf(key, kind, payload, holder), given))
      if (!fits) return undefined
      return tryParseJson(Buffer.from(payload, 'base64url').toString('utf8'))
    },
  }
}

export type Marks = ReturnType<typeof createMarks>
