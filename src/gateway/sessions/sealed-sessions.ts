import { randomBytes } from 'node:crypto'
import { callerId, type Principal } from '../../auth/principal.js'
import { ERROR_CODES } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { isSessionBasedVersion, SESSION_BASED_VERSIONS } from '../../mcp/versions.js'
import type { SessionCookie } from '../../upstream/http/cookie-jar.js'
import { BoundedMap } from '../../util/bounded-map.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { deriveKey, seal, unseal } from '../../util/seal.js'
import { type Exchange, replyError } from '../exchange.js'

const PREFIX = 'v1.'

const LIFETIME_MS = 24 * 60 * 60 * 1000

const MAX_OPENED = 1_000

const MAX_ENDED = 10_000

const MAX_LATE = 2_000

/** Longer ids are never issued, and refused before they are decoded. */
export const MAX_SESSION_ID_LENGTH = 4096

/** A session at one target. */
export interface TargetSession {
  /** The target's own `Mcp-Session-Id`; `undefined` when it issued none. */
  id: string | undefined
  /** The protocol version that it negotiated. */
  version: string
  /** Capabilities that the target does not declare; `undefined` when that is not known. */
  lacks?: readonly string[]
  /** Cookies that belong to the session, such as those of a load balancer. */
  cookies?: readonly SessionCookie[]
}

export interface Session {
  /** Random; stays the same when the session is sealed anew. */
  readonly key: string
  /** The protocol version that the client was told. */
  readonly version: string
  /** The client's `initialize` parameters, to open a session at a target later. */
  readonly initialize: JsonObject
  readonly targets: Map<string, TargetSession>
  /** Milliseconds since the epoch; absent in one that is not sealed yet. */
  readonly issuedAt?: number
}

export interface SessionsOptions {
  /** The first one seals, all of them open. Each has at least 32 bytes. */
  secrets: readonly string[]
  clock: Pick<Clock, 'now'>
  /** Binds a session to one deployment: our public MCP URL. */
  resource: () => string
}

/**
 * Seals sessions into the `Mcp-Session-Id` that clients hold (AES-256-GCM), so that every replica
 * with the same secret can serve them and nothing is kept here. A session opens only for the
 * subject that it was made for and is worth nothing without that subject's token.
 */
export function createSessions({ secrets, clock, resource }: SessionsOptions) {
  let keys = keysOf(secrets)

  /** Sessions in use, so that they are not decrypted for every request. */
  const opened = new BoundedMap<string, Opened>(MAX_OPENED)
  /** Keys of sessions that were ended here. At other replicas, the targets refuse them. */
  const ended = new BoundedMap<string, true>(MAX_ENDED)
  /** Sessions opened at one target after the client's `initialize`, and those that are being opened. */
  const late = new BoundedMap<string, TargetSession>(MAX_LATE)
  const opening = new Map<string, Promise<TargetSession | undefined>>()
  /** Since when targets are in another place, milliseconds since the epoch. */
  const moved = new Map<string, number>()

  function open(sealed: string, principal: Principal | undefined): Session | undefined {
    const kept = opened.get(sealed)
    const known = kept ?? openSealed(sealed)
    if (known === undefined || known.expiresAt <= clock.now()) return undefined
    const isSame = principal !== undefined && principal === known.principal
    if (!isSame && known.owner !== callerId(principal)) return undefined
    known.principal = principal
    if (ended.size > 0 && ended.has(known.session.key)) return undefined
    if (kept === undefined) opened.set(sealed, known)
    return known.session
  }

  function openSealed(sealed: string): Opened | undefined {
    if (sealed.length > MAX_SESSION_ID_LENGTH || !sealed.startsWith(PREFIX)) return undefined
    const sent = sealed.slice(PREFIX.length)
    const bytes = Buffer.from(sent, 'base64url')
    // the decoder is lenient, and each session is to have one spelling only
    if (bytes.toString('base64url') !== sent) return undefined
    for (const key of keys) {
      const text = unseal(bytes, key, resource())
      if (text !== undefined) return readSession(text)
    }
    return undefined
  }

  /** Returns `undefined` when the sealed session would be too long for a header. */
  function sealSession(session: Session, principal: Principal | undefined): string | undefined {
    const [key] = keys
    if (key === undefined) return undefined
    const text = JSON.stringify({
      k: session.key,
      o: callerId(principal),
      e: clock.now() + LIFETIME_MS,
      v: session.version,
      i: session.initialize,
      t: [...session.targets].map(([name, { id, version, lacks, cookies }]) => [
        ...[name, version, id, lacks],
        cookies,
      ]),
    })
    const sealed = PREFIX + seal(text, key, resource()).toString('base64url')
    return sealed.length <= MAX_SESSION_ID_LENGTH ? sealed : undefined
  }

  return {
    open,
    seal: sealSession,
    get canSeal(): boolean {
      return keys.length > 0
    },

    /** Seals and opens with other secrets from now on. What only earlier ones opened is open no more. */
    useSecrets(others: readonly string[]): void {
      keys = keysOf(others)
      opened.clear()
    },

    /** Forgets the sessions at a target that is in another place now: it could not know them. */
    moveTarget(target: string): void {
      moved.set(target, clock.now())
      for (const key of late.keys()) if (key.startsWith(`${target} `)) late.delete(key)
    },

    end({ key }: Session): void {
      ended.set(key, true)
    },

    /** Returns the session at a target that belongs to a client's session, or was opened there since. */
    at(session: Session | undefined, target: string): TargetSession | undefined {
      if (session === undefined) return undefined
      const reopened = late.size > 0 ? late.get(lateKey(session, target)) : undefined
      if (reopened !== undefined) return reopened
      const isOld = moved.size > 0 && (session.issuedAt ?? 0) < (moved.get(target) ?? 0)
      return isOld ? undefined : session.targets.get(target)
    },

    /** Opens a session at a target for the rest of a client's session, once for all who wait for it. */
    openLate(
      session: Session,
      target: string,
      openNew: () => Promise<TargetSession | undefined>,
    ): Promise<TargetSession | undefined> {
      const key = lateKey(session, target)
      const known = opening.get(key)
      if (known !== undefined) return known
      const running = openNew()
        .then((opened) => {
          if (opened !== undefined) late.set(key, opened)
          return opened
        })
        .finally(() => opening.delete(key))
      opening.set(key, running)
      return running
    },
  }
}

const keysOf = (secrets: readonly string[]) =>
  secrets.map((secret) => deriveKey(secret, 'mcp-descope-proxy session v1'))

const lateKey = ({ key }: Session, target: string): string => `${target} ${key}`

export type Sessions = ReturnType<typeof createSessions>

/**
 * Opens the session that a request names. Answers 404 when we did not issue it to this caller, and
 * 400 when the request claims another protocol version than the session's, or an unknown one.
 * `initialize` negotiates the version, so that its header is no reason to refuse it.
 *
 * @param newRequest Makes the result of the session that was opened.
 * @param message What a POST carries.
 * @see [MCP 2025-11-25, Protocol Version Header](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#protocol-version-header)
 */
export function openRequest<T>(
  sessions: Sessions,
  newRequest: (exchange: Exchange, session?: Session, sealed?: string) => T,
  exchange: Exchange,
  message?: Message,
): T | undefined {
  // an empty header is what some clients write who have none
  const sealed = exchange.header('mcp-session-id') || undefined
  const refuse = (status: number, code: number, text: string) => {
    exchange.record.refusal = status === 404 ? 'session' : 'protocol'
    const id = status === 404 ? undefined : message?.id
    replyError(exchange, id, code, text, status)
    return undefined
  }
  const session =
    sealed === undefined ? undefined : sessions.open(sealed, exchange.caller.principal)
  if (sealed !== undefined && session === undefined) {
    return refuse(404, -32001, 'Session not found: initialize again')
  }
  const claimed = exchange.header('mcp-protocol-version')
  // other known versions pass: the target gets the session's version in any case
  const isSpoken =
    claimed === undefined || claimed === session?.version || isSessionBasedVersion(claimed)
  if (isSpoken || message?.method === 'initialize') return newRequest(exchange, session, sealed)
  const spoken = session?.version ?? SESSION_BASED_VERSIONS.join(', ')
  const who = session === undefined ? 'without _meta, this server' : 'this session'
  const text = `Unsupported MCP-Protocol-Version ${JSON.stringify(claimed.slice(0, 40))}; ${who} speaks ${spoken}`
  return refuse(400, ERROR_CODES.invalidRequest, text)
}

/** Makes the key of a new session. */
export function newSessionKey(): string {
  return randomBytes(16).toString('base64url')
}

interface Opened {
  owner: string
  /** Whom it was opened for last. */
  principal?: Principal | undefined
  /** Milliseconds since the epoch. */
  expiresAt: number
  session: Session
}

function readSession(text: string): Opened | undefined {
  const value = tryParseJson(text)
  if (!isObject(value)) return undefined
  const { k: key, o: owner, e: expiresAt, v: version, i: initialize, t: entries } = value
  if (typeof key !== 'string') return undefined
  if (typeof owner !== 'string' || typeof expiresAt !== 'number') return undefined
  if (typeof version !== 'string' || !isObject(initialize) || !Array.isArray(entries)) {
    return undefined
  }
  const targets = new Map<string, TargetSession>()
  for (const [name, targetVersion, id, lacks, cookies] of entries) {
    const part: TargetSession = { version: targetVersion, id: id ?? undefined }
    if (lacks) part.lacks = lacks
    if (cookies) part.cookies = cookies
    targets.set(name, part)
  }
  const issuedAt = expiresAt - LIFETIME_MS
  return { owner, expiresAt, session: { key, version, initialize, targets, issuedAt } }
}
