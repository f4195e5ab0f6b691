import { join } from 'node:path'
import { errorResponse } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { OWN_INFO } from '../mcp/meta.js'
import { negotiateVersion, sessionBasedOnly } from '../mcp/versions.js'
import { isObject, type JsonObject, objectMember, ownMember, tryParseJson } from '../util/json.js'
import { readPrivateFile, writePrivateFile } from '../util/private-files.js'
import type { OpenRequest } from './requests.js'
import { respond } from './sign-in-messages.js'

/** All capabilities: a host does without one that turns out to be absent, but looks for none anew. */
const ALL_CAPABILITIES: JsonObject = {
  tools: { listChanged: true },
  prompts: { listChanged: true },
  resources: { listChanged: true },
  logging: {},
  completions: {},
}

const EMPTY: Readonly<Record<string, JsonObject>> = {
  'prompts/list': { prompts: [] },
  'resources/list': { resources: [] },
  'resources/templates/list': { resourceTemplates: [] },
  'completion/complete': { completion: { values: [] } },
}

/**
 * Answers `initialize` in place of a target that cannot be reached now: as it answered last time, or
 * with all that it might be able to do.
 */
export function offlineInitialize(request: OpenRequest, known: Remembered): string {
  const { message, id } = request
  const version = negotiateVersion(message.params['protocolVersion'])
  const result = known.initialize ?? { serverInfo: OWN_INFO }
  const capabilities = { ...ALL_CAPABILITIES, ...(result['capabilities'] as JsonObject) }
  return respond(message, id, { ...result, protocolVersion: version, capabilities })
}

/** Answers `server/discover` as last time; else so that the host falls back to `initialize`. */
export function offlineDiscover({ message, id }: OpenRequest, known: Remembered): string {
  if (known.discover !== undefined) return respond(message, id, known.discover)
  return errorResponse(id, sessionBasedOnly(message.method))
}

/** Answers a request for which an empty result is true while nobody is signed in; else `undefined`. */
export function emptyAnswer({ message, id }: OpenRequest): string | undefined {
  const result = ownMember(EMPTY, message.method)
  return result === undefined ? undefined : respond(message, id, result)
}

const CAPABILITY_OF: Readonly<Record<string, string>> = {
  prompts: 'prompts',
  resources: 'resources',
  completion: 'completions',
}

/** Tells whether a target lacks a method that the host was promised before the target was known. */
export function lacksMethod(capabilities: JsonObject | undefined, method: string): boolean {
  const capability = ownMember(CAPABILITY_OF, method.split('/', 1)[0] ?? '')
  if (capabilities === undefined || capability === undefined) return false
  return !Object.hasOwn(capabilities, capability)
}

/** Tells whether the target's own list of tools has this name. */
export function hasTool({ tools }: Remembered, name: string): boolean {
  const list = tools?.['tools']
  return Array.isArray(list) && list.some((tool) => isObject(tool) && tool['name'] === name)
}

/** What a target said last time, for the next start without it. */
interface Remembered {
  /** The result of `initialize`. */
  initialize?: JsonObject
  /** The result of `server/discover`. */
  discover?: JsonObject
  /** The result of `tools/list`, when it was one page. */
  tools?: JsonObject
}

/** Remembers what one identity saw of one target. */
export interface Memory {
  /** Reads what is stored, once. */
  load(): Promise<Remembered>
  /** What is known so far, without reading a file. */
  readonly known: Remembered
  keep(what: keyof Remembered, result: JsonObject): void
  /** Writes what is new. Never rejects. */
  save(): Promise<void>
}

const SCHEMA = 1

/** More than this is not worth keeping. */
const MAX_CHARACTERS = 4 * 1024 * 1024

/**
 * Creates the memory of one target.
 *
 * @param folder The user's data folder.
 * @param key Names the target and who is signed in there; from it nobody can tell who that is.
 */
export function createMemory(folder: string, key: string): Memory {
  const path = join(folder, 'bridge', `${key}.json`)
  const known: Remembered = {}
  let loading: Promise<string | undefined> | undefined
  let isNew = false

  const read = async (): Promise<string | undefined> => {
    const text = await readPrivateFile(path).catch(() => undefined)
    const file = text === undefined ? undefined : tryParseJson(text)
    if (!isObject(file) || file['schema'] !== SCHEMA) return undefined
    for (const member of ['initialize', 'discover', 'tools'] as const) {
      const stored = objectMember(file, member)
      if (stored !== undefined) known[member] ??= stored
    }
    return text
  }
  const readOnce = () => {
    loading ??= read()
    return loading
  }
  return {
    known,
    async load() {
      await readOnce()
      return known
    },
    keep(what, result) {
      known[what] = result
      isNew = true
    },
    async save() {
      if (!isNew) return
      isNew = false
      try {
        const stored = await readOnce()
        const text = JSON.stringify({ schema: SCHEMA, ...known })
        if (text === stored || text.length > MAX_CHARACTERS) return
        loading = Promise.resolve(text)
        await writePrivateFile(path, text, { durable: false })
      } catch {
        // without the file, the next start is as the first one was
      }
    },
  }
}

/** Remembers the answer to a request that the next start may answer without the target. */
export function rememberAnswer(memory: Memory, { method, params }: Message, text: string): void {
  if (method !== 'tools/list' && method !== 'server/discover') return
  const result = objectMember(tryParseJson(text), 'result')
  if (result === undefined || 'cursor' in params || 'nextCursor' in result) return
  memory.keep(method === 'tools/list' ? 'tools' : 'discover', result)
}
