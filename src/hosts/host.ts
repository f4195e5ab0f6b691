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

/** What the places of files depend on. */
export type Where = Pick<Runtime, 'cwd' | 'env' | 'homeDir' | 'platform'>

/** How a host reaches the server: it starts a program, or calls a URL. */
export type EntryTransport =
  | { readonly kind: 'stdio'; readonly command: string; readonly args: readonly string[] }
  | { readonly kind: 'http'; readonly url: string }

/** A server as we want it in a host, before it is spelled the host's way. */
export interface Server {
  readonly name: string
  readonly connection: EntryTransport
  /** Variables of the program whose values may be written. Never a secret. */
  readonly values: Readonly<Record<string, string>>
  /** Variables of the program that the host fills in from elsewhere. */
  readonly references: readonly string[]
}

/** Something that the host asks its user for. */
export interface Input {
  readonly type: 'promptString'
  readonly id: string
  readonly description: string
  readonly password: true
}

/** A server as it stands in a host's file. */
export interface Entry {
  readonly value: JsonObject
  /** What has to stand in the file besides. */
  readonly inputs: readonly Input[]
}

/** An assistant that we can be added to. */
export interface Host {
  readonly id: HostId
  /** What people call it. */
  readonly title: string
  readonly format: 'json' | 'toml'
  /** Member of the file that holds all servers, by name. */
  readonly container: string
  /** Names of servers that it refuses; `undefined` when it takes any. */
  readonly names?: { readonly allowed: RegExp; readonly rule: string }
  /** The user's own file. */
  userFile(where: Where): string
  /** The file of a project, from its folder; `undefined` when there is no such file. */
  readonly projectFile: readonly string[] | undefined
  /** Why it cannot fill in variables; `undefined` when it can. */
  readonly noReferences?: string
  /** Why it cannot call a URL, and what to do; `undefined` when it can. */
  readonly noHttp?: { readonly reason: string; readonly hint: string }
  /** Spells a server the host's way. */
  entry(server: Server): Entry
  /** How it is connected to a URL without any file. */
  readonly steps?: string
  /** What its user does for the change to count. */
  readonly afterwards: string
  /** The same for a URL that wants a sign-in; `undefined` when it asks by itself. */
  readonly signIn?: (name: string) => string
}
