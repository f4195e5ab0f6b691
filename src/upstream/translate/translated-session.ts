import { randomBytes } from 'node:crypto'
import type { RequestId } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { OWN_INFO } from '../../mcp/meta.js'
import { negotiateVersion } from '../../mcp/versions.js'
import { BoundedMap } from '../../util/bounded-map.js'
import {
  isObject,
  type JsonObject,
  objectMember,
  stringMember,
  tryParseJson,
} from '../../util/json.js'
import { TRANSLATED_SESSION } from '../upstream.js'

/** What a client said of itself at `initialize`, as far as later requests need it. */
export interface SessionClient {
  /** The version that it was told. */
  readonly version: string
  readonly capabilities: JsonObject
  readonly info: JsonObject
}

const NONCE_BYTES = 9

/** Several of these are sealed into one id of the gateway. */
const MAX_ID_LENGTH = 768

const TASKS = 'io.modelcontextprotocol/tasks'

/** A client that sends no session id: without capabilities, so that it gets no requests. */
export const UNKNOWN_CLIENT: SessionClient = {
  version: negotiateVersion(undefined),
  capabilities: {},
  info: OWN_INFO,
}

/** Reads a client from the parameters of `initialize`. */
export function readClient(params: JsonObject): SessionClient {
  const capabilities = objectMember(params, 'capabilities') ?? {}
  const { tasks: _tasks, roots, extensions: _extensions, ...others } = capabilities
  return {
    version: negotiateVersion(params['protocolVersion']),
    // tasks, and changes of the list of roots, cannot be translated
    capabilities: {
      ...others,
      ...(isObject(roots) && { roots: {} }),
      ...extensionsWithoutTasks(capabilities),
    },
    info: objectMember(params, 'clientInfo') ?? UNKNOWN_CLIENT.info,
  }
}

/** Returns the extensions in some capabilities but for that of tasks, which not both sides can follow. */
export function extensionsWithoutTasks(capabilities: JsonObject): { extensions?: JsonObject } {
  const { [TASKS]: _tasks, ...extensions } = objectMember(capabilities, 'extensions') ?? {}
  return Object.keys(extensions).length > 0 ? { extensions } : {}
}

/**
 * Makes a session id that carries the client, so that any process can serve its requests. It is
 * unique, and of visible ASCII; whoever gets it could read and change it, so it must be sealed.
 */
export function writeSessionId(client: SessionClient): string {
  const nonce = randomBytes(NONCE_BYTES).toString('base64url')
  const { version, info } = client
  const { experimental: _experimental, extensions: _extensions, ...plain } = client.capabilities
  const { name, version: release } = info
  const short = { version, info: { name, version: release }, capabilities: plain }
  const ids = [client, short].map((it) => `${TRANSLATED_SESSION}${nonce}.${visible(it)}`)
  return ids.find((id) => id.length <= MAX_ID_LENGTH) ?? `${TRANSLATED_SESSION}${nonce}.{}`
}

/** Writes JSON in the characters that a session id may have. */
function visible({ version, capabilities, info }: SessionClient): string {
  return JSON.stringify({ v: version, c: capabilities, i: info }).replace(
    /[^\x21-\x7e]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/** Reads the client from a session id of ours; `undefined` when it is another id. */
export function readSessionId(id: string): SessionClient | undefined {
  if (!id.startsWith(TRANSLATED_SESSION)) return undefined
  const value = tryParseJson(id.slice(id.indexOf('.', TRANSLATED_SESSION.length) + 1))
  if (!isObject(value)) return undefined
  return {
    version: stringMember(value, 'v') ?? UNKNOWN_CLIENT.version,
    capabilities: objectMember(value, 'c') ?? {},
    info: objectMember(value, 'i') ?? UNKNOWN_CLIENT.info,
  }
}

/** The GET stream of a client. */
export interface Listening {
  /**
   * Subscribes to other notifications. Resolves with the URIs whose updates the target will tell;
   * `undefined` when the stream went meanwhile.
   */
  renew(headers: readonly string[]): Promise<readonly string[] | undefined>
}

/**
 * What one process remembers of a client's session. The session id carries what every process must
 * know; this is what happens here: calls, their questions to the client, streams and their filter.
 */
export interface TranslatedSession {
  readonly client: SessionClient
  /** As `logging/setLevel` said here. */
  logLevel: string | undefined
  /** Requests under way that the client can cancel. */
  readonly calls: Map<RequestId, { cancel(): void }>
  /** Requests that were sent to the client, by id, and who waits for the answer. */
  readonly pendingInputs: Map<RequestId, (answer: Message) => void>
  /** The resources whose updates the client wants. */
  readonly uris: Set<string>
  readonly streams: Set<Listening>
}

const MAX_SESSIONS = 10_000

/** Keeps the sessions by the id that the translation gave out. */
export function createTranslatedSessions() {
  const sessions = new BoundedMap<string, TranslatedSession>(MAX_SESSIONS)
  return {
    /** Without an id of ours the session lasts for one request. */
    get(id: string | undefined): TranslatedSession {
      const client = id === undefined ? undefined : readSessionId(id)
      if (id === undefined || client === undefined) return newSession(UNKNOWN_CLIENT)
      const session = sessions.get(id) ?? newSession(client)
      if (!sessions.has(id)) sessions.set(id, session)
      return session
    },
    delete(id: string | undefined): void {
      if (id !== undefined) sessions.delete(id)
    },
  }
}

export function newSession(client: SessionClient): TranslatedSession {
  return {
    ...{ client, logLevel: undefined, calls: new Map(), pendingInputs: new Map() },
    ...{ uris: new Set(), streams: new Set() },
  }
}
