import { join } from 'node:path'
import type { Message } from '../mcp/message.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { readPrivateFile, writePrivateFile } from '../util/private-files.js'

/** What a target said last time, for the next start without it. */
export interface Remembered {
  /** The result of `initialize`. */
  initialize?: JsonObject
  /** The result of `server/discover`. */
  discover?: JsonObject
  /** The result of `tools/list`, when it was one page. */
  tools?: JsonObject
}

/** Remembers what one identity saw of one target. Without a store, only for this process. */
export interface Memory {
  /** Reads what is stored, once. */
  load(): Promise<Remembered>
  /** What is known without reading. */
  readonly known: Remembered
  keep(what: keyof Remembered, result: JsonObject): void
  /** Writes what is new. Never rejects. */
  save(): Promise<void>
}

const SCHEMA = 1
const MEMBERS = ['initialize', 'discover', 'tools'] as const
/** More than this is not worth keeping. */
const MAX_CHARACTERS = 4 * 1024 * 1024

/**
 * Creates the memory of one target.
 *
 * @param folder The user's data folder. @param key Names the identity, and tells nothing.
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
    for (const member of MEMBERS) {
      const stored = file[member]
      if (isObject(stored)) known[member] ??= stored
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
        // the next start then begins with nothing, as the first one did
      }
    },
  }
}

/** Keeps of an answer what a later start can show before the target answers. */
export function learn(memory: Memory, { method, params }: Message, text: string): void {
  const what = method === 'tools/list' ? 'tools' : 'discover'
  if (method !== 'tools/list' && method !== 'server/discover') return
  const message = tryParseJson(text)
  const result = isObject(message) ? message['result'] : undefined
  if (!isObject(result) || 'cursor' in params || 'nextCursor' in result) return
  memory.keep(what, result)
}
