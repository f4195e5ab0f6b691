import type { RequestId } from '../jsonrpc.js'
import type { Message } from '../message.js'
import { type LegacyClient, readSessionId, UNKNOWN_CLIENT } from './client.js'

/** Something under way in a session that its client can stop. */
export interface Running {
  cancel(): void
}

/** The stream on which a client hears what nobody asked for. */
export interface Listening {
  /**
   * Asks for other notifications. Resolves with the URIs whose updates the target will tell;
   * `undefined` when the stream went meanwhile.
   */
  renew(headers: readonly string[]): Promise<readonly string[] | undefined>
}

/**
 * What one process remembers of a client's session. The session id carries what every process must
 * know; this is what happens here: calls, their questions to the client, streams and their filter.
 */
export interface LegacySession {
  readonly client: LegacyClient
  /** As `logging/setLevel` said here. */
  logLevel: string | undefined
  readonly calls: Map<RequestId, Running>
  /** Requests that were sent to the client, by id, and who waits for the answer. */
  readonly asked: Map<RequestId, (answer: Message) => void>
  /** The resources whose updates the client wants. */
  readonly uris: Set<string>
  readonly streams: Set<Listening>
}

const MAX_SESSIONS = 10_000

/** Sessions by the id that the translation gave out. */
export class LegacySessions {
  readonly #sessions = new Map<string, LegacySession>()

  /** Without an id of ours the session lasts for one request. */
  get(id: string | undefined): LegacySession {
    const client = id === undefined ? undefined : readSessionId(id)
    if (id === undefined || client === undefined) return newSession(UNKNOWN_CLIENT)
    const known = this.#sessions.get(id)
    if (known !== undefined) return known
    const session = newSession(client)
    const [oldest] = this.#sessions.keys()
    if (this.#sessions.size >= MAX_SESSIONS && oldest !== undefined) this.#sessions.delete(oldest)
    this.#sessions.set(id, session)
    return session
  }

  delete(id: string | undefined): void {
    if (id !== undefined) this.#sessions.delete(id)
  }
}

export function newSession(client: LegacyClient): LegacySession {
  return {
    client,
    logLevel: undefined,
    calls: new Map(),
    asked: new Map(),
    uris: new Set(),
    streams: new Set(),
  }
}
