import type { JsonObject } from '../util/json.js'
import type { Runtime } from '../util/runtime.js'

export const HOST_IDS = [
  'claude-desktop',
  'claude-code',
  'cursor',
  'vscode',
  'windsurf',
  'codex',
  'gemini',
] as const

export type HostId = (typeof HOST_IDS)[number]

/** What the paths of files depend on. */
export type Where = Pick<Runtime, 'cwd' | 'env' | 'homeDir' | 'platform'>

/** How a host reaches the server: by starting a program, or at a URL. */
export type EntryTransport =
  | { readonly kind: 'stdio'; readonly command: string; readonly args: readonly string[] }
  | { readonly kind: 'http'; readonly url: string }

/** A server to add to a host, before it is written in the host's format. */
export interface Server {
  readonly name: string
  readonly connection: EntryTransport
  /** Variables of the program to write with their values. Never secrets. */
  readonly values: Readonly<Record<string, string>>
  /** Variables of the program that the host looks up when it starts it. */
  readonly references: readonly string[]
}

/** A value for which the host prompts its user. */
export interface Input {
  readonly type: 'promptString'
  readonly id: string
  readonly description: string
  readonly password: true
}

/** A server in the format of a host's file. */
export interface Entry {
  readonly value: JsonObject
  /** Inputs that the entry refers to, which the file must declare. */
  readonly inputs: readonly Input[]
}

/** An assistant program whose configuration this program can edit. */
export interface Host {
  readonly id: HostId
  /** Its product name. */
  readonly title: string
  readonly format: 'json' | 'toml'
  /** Member of the file with all servers by name. */
  readonly container: string
  /** Which names of servers it accepts; `undefined`: any. */
  readonly names?: { readonly allowed: RegExp; readonly rule: string }
  /** The user's own file. */
  userFile(where: Where): string
  /** Path of a project's file, relative to the project; `undefined` when it has none. */
  readonly projectFile: readonly string[] | undefined
  /** Why it cannot look up variables; `undefined` when it can. */
  readonly noReferences?: string
  /** Why its file cannot hold a URL, and what to do instead; `undefined` when it can. */
  readonly noHttp?: { readonly reason: string; readonly hint: string }
  /** Writes a server in the host's format. */
  entry(server: Server): Entry
  /** How to add a URL in the program itself. */
  readonly steps?: string
  /** What to do for the change to take effect. */
  readonly afterwards: string
  /** The same for a URL that requires sign-in; `undefined` when the host starts it by itself. */
  readonly signIn?: (name: string) => string
}
