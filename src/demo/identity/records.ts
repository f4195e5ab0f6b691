import { randomBytes } from 'node:crypto'
import type { JWK } from 'jose'
import type { OutboundApp } from './options.js'

/** Which of Descope's two authorization servers was called: the MCP server's or the project's. */
export type Surface = 'agentic' | 'project'

export interface Client {
  readonly clientId: string
  /** `undefined` makes it public. */
  readonly clientSecret: string | undefined
  /** The client proves itself by a signed assertion. */
  readonly publicKey?: JWK | undefined
  readonly name: string
  readonly redirectUris: readonly string[]
  readonly policy: boolean
  readonly machine: boolean
  /** Whether it may use the device flow. */
  readonly device: boolean
}

/** A user's consent. Codes and refresh tokens refer to it; revoking it ends them all. */
export interface EmulatorGrant {
  readonly clientId: string
  readonly surface: Surface
  readonly scopes: readonly string[]
  readonly resources: readonly string[]
  readonly userId?: string | undefined
  readonly tenant: string | undefined
  /** Thumbprint of the key to which a public client's refresh tokens are bound (RFC 9449 §5). */
  jkt?: string | undefined
  /** The user signed in once more for this grant (`su`). */
  readonly steppedUp?: boolean | undefined
  revoked: boolean
}

export interface EmulatorAuthorization {
  readonly grant: EmulatorGrant
  readonly redirectUri: string
  readonly state: string | undefined
  readonly challenge: string | undefined
  readonly nonce: string | undefined
}

export interface Code extends EmulatorAuthorization {
  /** Milliseconds since the epoch, like every `…At` here. */
  readonly expiresAt: number
  used: boolean
}

export interface RefreshToken {
  readonly grant: EmulatorGrant
  readonly expiresAt: number
  used: boolean
}

export interface DeviceRequest {
  /** Gets the user who approves it. */
  grant: EmulatorGrant
  readonly userCode: string
  readonly expiresAt: number
  outcome: 'pending' | 'approved' | 'denied' | 'used'
  /** Seconds. */
  interval: number
  polledAt: number | undefined
}

/** A link at which a user connects to an app. */
export interface ConnectRequest {
  readonly app: OutboundApp
  readonly userId: string
  readonly tenantId: string | undefined
  readonly scopes: readonly string[]
  readonly redirectUrl: string | undefined
  readonly expiresAt: number
}

/** An authorization request that was pushed (RFC 9126). */
export interface PushedRequest {
  readonly clientId: string
  readonly params: URLSearchParams
  readonly expiresAt: number
}

/** One request as it arrived. Requests to `/__test` are not recorded. */
export interface RecordedRequest {
  readonly at: number
  readonly method: string
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  /** Parsed when it was a form or JSON, unless that is long; else text. */
  body: unknown
  /** 0 while there is no answer, and when the connection was closed instead. */
  status: number
}

export const NO_COUNTS = {
  documents: 0,
  keySets: 0,
  registrations: 0,
  metadataFetches: 0,
  /** Valid authorization requests: browser tabs. */
  authorizations: 0,
  codes: 0,
  refreshes: 0,
  reuses: 0,
  deviceRequests: 0,
  devicePolls: 0,
  clientCredentials: 0,
  exchanges: 0,
  revocations: 0,
  accessKeys: 0,
  connectionTokens: 0,
  connectionRefreshes: 0,
  connectLinks: 0,
  connections: 0,
  auditEvents: 0,
  fgaChecks: 0,
  pushedRequests: 0,
  failures: 0,
}

export type Counters = { [name in keyof typeof NO_COUNTS]: number }

/** Makes the 27 letters and digits that follow the prefix of a Descope id. */
export function randomId(): string {
  let id = ''
  while (id.length < 27) id += randomBytes(40).toString('base64').replace(/[+/=]/g, '')
  return id.slice(0, 27)
}

/** Makes a client id in the form that Descope's registration gives: base64 of `P…:TPA…`. */
export function newClientId(projectId: string): string {
  return Buffer.from(`${projectId}:TPA${randomId()}`).toString('base64')
}
