import { randomBytes } from 'node:crypto'
import { BoundedMap } from '../../util/bounded-map.js'
import type { JsonObject } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import type { KeyRing } from './keys.js'
import {
  type ConfiguredConnection,
  changeOptions,
  type Failure,
  type IdentityOptions,
} from './options.js'
import {
  type Client,
  type Code,
  type ConnectRequest,
  type Counters,
  type DeviceRequest,
  type EmulatorAuthorization,
  NO_COUNTS,
  type PushedRequest,
  type RecordedRequest,
  type RefreshToken,
  randomId,
} from './records.js'

/** A confidential client with a Policy. */
export interface MachineClient {
  readonly clientId: string
  readonly clientSecret: string
}

/** Limit of entries of each kind: whoever reaches the emulator can create any number. */
const MOST = 10_000

/** Longer values are never secrets of the emulator. */
const MAX_SECRET_LENGTH = 16_384

export interface State {
  options: IdentityOptions
  readonly clock: Clock
  /** Origin of every URL; known once the port is. */
  baseUrl: string
  readonly projectId: string
  readonly serverId: string
  readonly keys: KeyRing
  /** Registered ones and those from metadata documents; configured ones stay in `options`. */
  readonly clients: Map<string, Client>
  readonly pending: Map<string, EmulatorAuthorization>
  readonly codes: Map<string, Code>
  readonly refreshTokens: Map<string, RefreshToken>
  readonly devices: Map<string, DeviceRequest>
  /** Access tokens of the project's own endpoints: only these work at `userinfo`. */
  readonly projectTokens: Map<string, true>
  /** Connection access tokens that a refresh has replaced, by the configured one. */
  readonly refreshedConnections: Map<string, string>
  /** Connections made at the emulator's own page, beside the configured ones. */
  readonly connected: ConfiguredConnection[]
  /** Links to connect, by the last part of their path. */
  readonly connects: Map<string, ConnectRequest>
  readonly pushed: Map<string, PushedRequest>
  /** Ids of proofs and assertions that were seen, with the time at which each may be forgotten. */
  readonly seenIds: Map<string, number>
  readonly auditEvents: JsonObject[]
  /** The nonce that DPoP proofs must carry. */
  dpopNonce: string
  /** The confidential client that outlives a restart with the same folder. */
  machineClient: MachineClient | undefined
  /** Writes what must outlive a restart, where it has changed. */
  save(): Promise<void>
  failures: Failure[]
  readonly requests: RecordedRequest[]
  readonly counters: Counters
  readonly secrets: Map<string, true>
}

/** Creates the initial state of an emulator. */
export function createState(options: IdentityOptions, clock: Clock, keys: KeyRing): State {
  const state: State = {
    options,
    clock,
    baseUrl: '',
    projectId: options.projectId ?? `P${randomId()}`,
    serverId: options.serverId ?? `MS${randomId()}`,
    keys,
    clients: new BoundedMap(MOST),
    pending: new BoundedMap(MOST),
    codes: new BoundedMap(MOST),
    refreshTokens: new BoundedMap(MOST),
    devices: new BoundedMap(MOST),
    projectTokens: new BoundedMap(MOST),
    refreshedConnections: new Map(),
    connected: [],
    connects: new BoundedMap(MOST),
    pushed: new BoundedMap(MOST),
    seenIds: new BoundedMap(MOST),
    auditEvents: [],
    dpopNonce: randomId(),
    machineClient: undefined,
    save: async () => undefined,
    failures: [],
    requests: [],
    counters: { ...NO_COUNTS },
    secrets: new BoundedMap(2 * MOST),
  }
  applyOptions(state, options)
  return state
}

/**
 * Changes options; the failures that are still to come stay, unless `fail` is among the changes.
 *
 * @throws {ProxyError} `USAGE`
 */
export function applyChanges(state: State, changes: object): void {
  const { failures } = state
  applyOptions(state, changeOptions(state.options, changes))
  if (!('fail' in changes)) state.failures = failures
}

function applyOptions(state: State, options: IdentityOptions): void {
  const { clients, accessKeys, managementKeys, connections, fail } = options
  state.failures = fail.map((failure) => ({ ...failure }))
  for (const client of clients) remember(state, client.clientSecret)
  for (const { key } of accessKeys) remember(state, key)
  for (const key of managementKeys) remember(state, key)
  for (const item of connections) {
    remember(state, item.accessToken, item.nextAccessToken, item.refreshToken)
  }
  state.options = options
}

/** Records values that must not appear in any log. */
export function remember(state: State, ...values: (string | null | undefined)[]): void {
  for (const value of values) {
    if (value && value.length <= MAX_SECRET_LENGTH) state.secrets.set(value, true)
  }
}

/** Makes a secret of 256 random bits and remembers it. */
export function newSecret(state: State): string {
  const secret = randomBytes(32).toString('base64url')
  state.secrets.set(secret, true)
  return secret
}

/** Tells whether an id of a proof or assertion is new, and keeps it for `seconds`. */
export function firstSeen({ seenIds, clock }: State, id: string, seconds: number): boolean {
  const now = clock.now()
  for (const [old, until] of seenIds) {
    if (until > now) break
    seenIds.delete(old)
  }
  if (seenIds.has(id)) return false
  seenIds.set(id, now + seconds * 1000)
  return true
}

/** Seconds since the epoch. */
export function nowSeconds(state: State): number {
  return Math.floor(state.clock.now() / 1000)
}
