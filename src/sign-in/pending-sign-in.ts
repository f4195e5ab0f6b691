import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { OAuthClient } from '../auth/oauth/client.js'
import { type ProofWish, proofWishOf } from '../auth/oauth/proof-wish.js'
import type { AuthorizationServer } from '../auth/oauth/server-metadata.js'
import {
  numberMember,
  parseBinding,
  parseClient,
  parseServer,
  stringMembers,
} from '../auth/tokens/store/record.js'
import { storeKey, type TokenBinding } from '../auth/tokens/token-store.js'
import { isObject, tryParseJson } from '../util/json.js'
import { readPrivateFile, removeFile, writePrivateFile } from '../util/private-files.js'
import { addressOf } from './options.js'

const TABS = ['off', 'withheld', 'failed'] as const

interface PendingBase {
  /** Key of the token binding that it will end in. */
  readonly key: string
  /** So that finishing it needs no target; absent in files of older versions. */
  readonly binding?: TokenBinding | undefined
  /** Name of the target, for people. */
  readonly target?: string | undefined
  readonly server: AuthorizationServer
  /** Without the secret when that comes from the configuration. */
  readonly client: OAuthClient
  readonly resource: string | undefined
  readonly scope: string | undefined
  /** The tokens are to be bound to a key, which is made when they are requested. */
  readonly proof?: ProofWish | undefined
  readonly note: string | undefined
  /** Where the user signs in. */
  readonly url: string
  /** Milliseconds since the epoch. */
  readonly since: number
  readonly expiresAt: number
}

/** A sign-in that waits for the browser's redirect. */
export interface PendingBrowser extends PendingBase {
  readonly kind: 'browser'
  readonly method: 'browser' | 'paste'
  readonly redirectUri: string
  readonly state: string
  readonly verifier: string
  /** Why no tab is open for it; `undefined` when one is. */
  readonly tab: (typeof TABS)[number] | undefined
}

/** A sign-in that waits for a user code to be entered. */
export interface PendingDevice extends PendingBase {
  readonly kind: 'device'
  readonly userCode: string
  readonly deviceCode: string
  /** Seconds. */
  readonly interval: number
}

export type PendingSignIn = PendingBrowser | PendingDevice

/** Stores the pending sign-ins, so that a process that is started again can continue. */
export interface PendingStore {
  /** Returns `undefined` when there is none that can still succeed. */
  load(key: string): Promise<PendingSignIn | undefined>
  save(pending: PendingSignIn): Promise<void>
  remove(key: string): Promise<void>
  /** Returns all that can still succeed. */
  list(): Promise<PendingSignIn[]>
  /**
   * Returns the callback ports of other targets' sign-ins, with their keys, whether a process listens
   * there or not.
   */
  portsOfOthers(key: string): Promise<ReadonlyMap<number, string>>
}

const SCHEMA = 1

/** @param folder The user's data folder. @param now Milliseconds since the epoch. */
export function createPendingStore(folder: string, now: () => number): PendingStore {
  const pathOf = (key: string) => join(folder, 'sign-in', `${key}.json`)
  const load = async (key: string): Promise<PendingSignIn | undefined> => {
    const text = await readPrivateFile(pathOf(key))
    const file = text === undefined ? undefined : tryParseJson(text)
    if (!isObject(file) || file['schema'] !== SCHEMA) return undefined
    const pending = parsePending(file['pending'])
    return pending?.key === key && pending.expiresAt > now() ? pending : undefined
  }
  const list = async () => {
    const names = await readdir(join(folder, 'sign-in')).catch(() => [])
    const keys = names.flatMap((name) => /^([0-9a-f]{32})\.json$/.exec(name)?.[1] ?? [])
    const found = await Promise.all(keys.map(load))
    return found.filter((pending) => pending !== undefined)
  }
  return {
    load,
    list,
    async portsOfOthers(key) {
      const others = (await list()).filter((other) => other.key !== key)
      const waiting = others.filter((other) => other.kind === 'browser')
      return new Map(waiting.map((other) => [addressOf(other.redirectUri).port, other.key]))
    },
    save: (pending) =>
      writePrivateFile(pathOf(pending.key), JSON.stringify({ schema: SCHEMA, pending })),
    remove: (key) => removeFile(pathOf(key)),
  }
}

function parsePending(value: unknown): PendingSignIn | undefined {
  if (!isObject(value)) return undefined
  const server = parseServer(value['server'])
  const client = parseClient(value['client'])
  const binding = parseBinding(value['binding'])
  const [since, expiresAt] = [numberMember(value, 'since'), numberMember(value, 'expiresAt')]
  const { key, url, ...texts } = stringMembers(value, [
    'key',
    'url',
    'target',
    'resource',
    'scope',
    'note',
  ])
  if (server === undefined || client === undefined || key === undefined) return undefined
  if (binding !== undefined && storeKey(binding) !== key) return undefined
  if (url === undefined || since === undefined || expiresAt === undefined) return undefined
  const proof = proofWishOf(value['proof'])
  const base = {
    key,
    binding,
    server,
    client,
    url,
    since,
    expiresAt,
    ...texts,
    ...(proof && { proof }),
  }
  const { userCode, deviceCode } = stringMembers(value, ['userCode', 'deviceCode'])
  if (value['kind'] === 'device' && userCode !== undefined && deviceCode !== undefined) {
    const interval = numberMember(value, 'interval') ?? 5
    return { ...base, kind: 'device', userCode, deviceCode, interval }
  }
  const members = ['redirectUri', 'state', 'verifier'] as const
  const { redirectUri, state, verifier } = stringMembers(value, members)
  if (redirectUri === undefined || state === undefined || verifier === undefined) return undefined
  const method = value['method'] === 'paste' ? 'paste' : 'browser'
  const tab = TABS.find((known) => known === value['tab'])
  return { ...base, kind: 'browser', method, redirectUri, state, verifier, tab }
}
