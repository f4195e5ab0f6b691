import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { RequestId } from '../../mcp/jsonrpc.js'
import { isPlainId } from '../../mcp/message.js'
import { isObject, ownMember, tryParseJson } from '../../util/json.js'
import { deriveKey } from '../../util/seal.js'

const MARK_BYTES = 12

/**
 * What a value is signed as: `p` the id of a target's request, `t` its progress token, `n` that of a
 * client's request, `e` an event id, `c` a cursor, `k` a task, `s` the state of a request. A value of
 * one kind is never accepted as another.
 */
export type SignedIdKind = 'p' | 't' | 'n' | 'e' | 'c' | 'k' | 's'

/**
 * Signs values that clients keep for us and send back, to any replica with the same secrets. They are
 * readable, and rejected when they were changed or come from another bindingKey (HMAC-SHA-256).
 *
 * @param secrets The first one signs, all verify. Without any, only this process can verify.
 */
export function createSigner(secrets: readonly string[]) {
  const known = secrets.length > 0 ? secrets : [randomBytes(32)]
  const keys = known.map((secret) => deriveKey(secret, 'mcp-descope-proxy marks v1'))

  const markOf = (key: Buffer, kind: SignedIdKind, payload: string, bindingKey: string) =>
    createHmac('sha256', key)
      .update(`${kind}\n${bindingKey}\n${payload}`)
      .digest()
      .subarray(0, MARK_BYTES)

  return {
    /** @param bindingKey Who may send it back: a session or a caller. */
    sign(kind: SignedIdKind, value: unknown, bindingKey: string): string {
      const payload = Buffer.from(JSON.stringify(value)).toString('base64url')
      const mark = markOf(keys[0] as Buffer, kind, payload, bindingKey).toString('base64url')
      return `${kind}.${payload}.${mark}`
    },
    /** Returns `undefined` for a value that we did not issue to this bindingKey. */
    verify(kind: SignedIdKind, text: string, bindingKey: string): unknown {
      const [head, payload = '', sent = '', ...rest] = text.split('.')
      if (head !== kind || rest.length > 0) return undefined
      const given = Buffer.from(sent, 'base64url')
      // the decoder is lenient, and each signature is to have one spelling only
      if (given.length !== MARK_BYTES || given.toString('base64url') !== sent) return undefined
      const fits = keys.some((key) =>
        timingSafeEqual(markOf(key, kind, payload, bindingKey), given),
      )
      if (!fits) return undefined
      return tryParseJson(Buffer.from(payload, 'base64url').toString('utf8'))
    },
  }
}

export type Signer = ReturnType<typeof createSigner>

/**
 * Cursors into the lists of several targets: each holds the targets that have more, with their own
 * cursors, so that any replica can continue.
 */
export function createCursors(signer: Signer) {
  return {
    expose: (method: string, next: ReadonlyMap<string, string>, bindingKey: string) =>
      signer.sign('c', { [method]: Object.fromEntries(next) }, bindingKey),
    /** Returns `undefined` for a cursor that we did not issue to this bindingKey for this method. */
    read(method: string, exposed: unknown, bindingKey: string): Map<string, string> | undefined {
      const value =
        typeof exposed === 'string' ? signer.verify('c', exposed, bindingKey) : undefined
      const next = isObject(value) ? ownMember(value, method) : undefined
      return isObject(next) ? new Map(Object.entries(next as Record<string, string>)) : undefined
    },
  }
}

export type Cursors = ReturnType<typeof createCursors>

/** Longer ids are not issued: clients send them back in a header. */
const MAX_LENGTH = 4096

/** Where a client stopped reading. */
type Position =
  /** In the stream of one target; with a request, in the stream of its answer. */
  | { target: string; id: string; request: RequestId | undefined }
  /** In the merged stream: the last event id of each target that sent one. */
  | { last: Map<string, string> }

/**
 * Event ids of several targets behind one server. What a client sends back as `Last-Event-ID` itself
 * says where each target's stream continues, so that any replica can resume it.
 */
export function createEventIds(signer: Signer) {
  return {
    /**
     * @param request The request whose answer comes on the stream; a resumed stream brings no other.
     * @returns `undefined` when the id would be too long to be sent back.
     */
    exposeOne: (target: string, id: string, bindingKey: string, request?: RequestId) =>
      fitting(signer.sign('e', [target, id, request], bindingKey)),
    /** Leaves out the longest ids where all together are too long, so that the others can be resumed. */
    exposeAll(last: ReadonlyMap<string, string>, bindingKey: string): string | undefined {
      const kept = [...last].sort(([, a], [, b]) => a.length - b.length)
      for (; kept.length > 0; kept.pop()) {
        const id = fitting(signer.sign('e', Object.fromEntries(kept), bindingKey))
        if (id !== undefined) return id
      }
      return undefined
    },
    /** Returns `undefined` for an id that we did not issue to this bindingKey. */
    read(exposed: string, bindingKey: string): Position | undefined {
      const value =
        exposed.length > MAX_LENGTH ? undefined : signer.verify('e', exposed, bindingKey)
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

/** An id or a progress token of one target. */
interface TargetId {
  target: string
  /** As the target wrote it. */
  written: string
}

/**
 * Ids of requests that targets send to clients. The id that the client sees names the target and is
 * signed, so that the client's answer is routed back and cannot be redirected to another target. The
 * same holds for the progress tokens of those requests.
 */
export function createRequestIds(signer: Signer) {
  const read = (kind: 'p' | 't', exposed: RequestId, bindingKey: string): TargetId | undefined => {
    const pair = signer.verify(kind, String(exposed), bindingKey)
    if (!Array.isArray(pair)) return undefined
    const [target, id, written = JSON.stringify(id)] = pair
    return { target, written }
  }

  /** Of a number too large for us the spelling is kept, too. */
  const pairOf = (target: string, id: RequestId, written: string) =>
    isPlainId(id) ? [target, id] : [target, id, written]

  return {
    /** @param written The id as the target wrote it. */
    expose: (target: string, id: RequestId, bindingKey = '', written = JSON.stringify(id)) =>
      signer.sign('p', pairOf(target, id, written), bindingKey),
    exposeToken: (
      target: string,
      token: RequestId,
      bindingKey = '',
      written = JSON.stringify(token),
    ) => signer.sign('t', pairOf(target, token, written), bindingKey),
    /**
     * Makes the progress token that a target gets with a client's request, so that it cannot report
     * progress of another target's request: clients count their tokens, which are easy to guess.
     *
     * @param written The client's own, as it wrote it.
     */
    bindToken: (target: string, written: string, bindingKey: string) =>
      signer.sign('n', [target, written], bindingKey),
    /** Returns the client's own token as it was written; `undefined` for one that is not bound so. */
    readToken(target: string, bound: RequestId, bindingKey: string): string | undefined {
      const pair = signer.verify('n', String(bound), bindingKey)
      return Array.isArray(pair) && pair[0] === target ? String(pair[1]) : undefined
    },
    /** Returns `undefined` for an id that we did not issue. */
    route: (exposed: RequestId, bindingKey = '') => read('p', exposed, bindingKey),
    routeToken: (exposed: RequestId, bindingKey = '') => read('t', exposed, bindingKey),
  }
}

export type RequestIds = ReturnType<typeof createRequestIds>
