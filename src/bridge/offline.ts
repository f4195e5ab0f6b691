import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errorResponse } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { OWN_INFO } from '../mcp/meta.js'
import { negotiateVersion, sessionBasedOnly } from '../mcp/versions.js'
import {
  isObject,
  type JsonObject,
  objectMember,
  ownMember,
  textsMember,
  tryParseJson,
} from '../util/json.js'
import { readPrivateFile, removeFile, writePrivateFile } from '../util/private-files.js'
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

/** Remembers what one person saw of one target; nobody else is shown it. */
export interface Memory {
  /** Gives what whoever is signed in now saw last time. */
  load(): Promise<Remembered>
  /** What is known so far, without reading a file. */
  readonly known: Remembered
  keep(what: keyof Remembered, result: JsonObject): void
  /** Writes what is new. Never rejects. */
  save(): Promise<void>
}

/** Who sees a target, as the token store has it now. */
export interface Viewer {
  /** Tells two people apart; from it nobody can tell who they are. */
  readonly who: string
  /** Names of the sign-ins with which this ends. */
  readonly signIns: readonly string[]
}

const SCHEMA = 2

const FOLDER = 'bridge'

/** More than this is not worth keeping. */
const MAX_CHARACTERS = 4 * 1024 * 1024

const MEMBERS = ['initialize', 'discover', 'tools'] as const

/**
 * Creates the memory of one target.
 *
 * @param folder The user's data folder.
 * @param key Names the target.
 * @param viewer Tells who is signed in. Where it rejects, nothing is shown and nothing is kept.
 */
export function createMemory(folder: string, key: string, viewer: () => Promise<Viewer>): Memory {
  const path = join(folder, FOLDER, `${key}.json`)
  const known: Remembered = {}
  let owner: string | undefined
  let stored: string | undefined
  let isNew = false
  let last: Promise<unknown> = Promise.resolve()

  const forget = () => {
    for (const member of MEMBERS) delete known[member]
    isNew = false
  }
  /** What somebody else saw is forgotten, and what this one saw last time is read. */
  const turnTo = async ({ who }: Viewer) => {
    if (who === owner) return
    forget()
    owner = who
    stored = await readPrivateFile(path).catch(() => undefined)
    const file = stored === undefined ? undefined : tryParseJson(stored)
    if (!isObject(file) || file['schema'] !== SCHEMA || file['who'] !== who) return
    for (const member of MEMBERS) {
      const value = objectMember(file, member)
      if (value !== undefined) known[member] = value
    }
  }
  const inTurn = <T>(task: () => Promise<T>): Promise<T | undefined> => {
    const done = last.then(task).catch(() => undefined)
    last = done
    return done
  }
  return {
    known,
    async load() {
      const isKnown = await inTurn(async () => {
        await turnTo(await viewer())
        return true
      })
      return isKnown ? known : {}
    },
    keep(what, result) {
      const asked = viewer()
      asked.catch(() => undefined)
      void inTurn(async () => {
        await turnTo(await asked)
        known[what] = result
        isNew = true
      })
    },
    async save() {
      await inTurn(async () => {
        if (!isNew) return
        const now = await viewer()
        if (now.who !== owner) return forget()
        isNew = false
        const text = JSON.stringify({ schema: SCHEMA, ...now, ...known })
        if (text === stored || text.length > MAX_CHARACTERS) return
        // without the file, the next start is as the first one was
        await writePrivateFile(path, text, { durable: false })
        stored = text
      })
    },
  }
}

/** Deletes what was remembered of targets under a sign-in that ended, and what cannot be told apart. */
export async function forgetSignIn(folder: string, signIn: string): Promise<void> {
  const names = await readdir(join(folder, FOLDER)).catch(() => [])
  for (const name of names.filter((one) => one.endsWith('.json'))) {
    const path = join(folder, FOLDER, name)
    const file = tryParseJson((await readPrivateFile(path).catch(() => undefined)) ?? '')
    const isOther =
      isObject(file) && file['schema'] === SCHEMA && !textsMember(file, 'signIns').includes(signIn)
    if (!isOther) await removeFile(path).catch(() => undefined)
  }
}

/** Remembers the answer to a request that the next start may answer without the target. */
export function rememberAnswer(memory: Memory, { method, params }: Message, text: string): void {
  if (method !== 'tools/list' && method !== 'server/discover') return
  const result = objectMember(tryParseJson(text), 'result')
  if (result === undefined || 'cursor' in params || 'nextCursor' in result) return
  memory.keep(method === 'tools/list' ? 'tools' : 'discover', result)
}
