/**
 * A Descope emulator on one HTTP server, for demonstrations and tests.
 *
 * Observed at Descope: the paths, parameter and member names, the discovery document, the forms of
 * ids, issuers and audiences, exact redirect URIs, S256 only, `E063302` with its 404, the names of
 * the device errors, the three minutes of a device code, `userinfo` that does not know the MCP
 * server's tokens, and that a public client revokes with its access token.
 *
 * Choices of the emulator, which say nothing about Descope:
 * - the HTTP status of every error but `E063302`, and all `E000…` codes;
 * - a code's 60 s, a token's 600 s, the 5 s between polls, `jti`, and that refresh tokens are opaque;
 * - who may sign in: one configured user, approved at once unless `approval` says otherwise;
 * - an unknown scope is refused at authorization (as a redirect), and cut away at registration;
 * - a `resource` other than `resourceUrl` is refused when that is set, and granted when it is not;
 * - a client without a policy is refused at authorization too;
 * - any client may use the device grant, at which `resource` is understood;
 * - the refusal of `x-forwarded-host`, of registration when it is off, and of keyless revocation;
 * - a replayed refresh token, or code, ends its family;
 * - CIMD redirect URIs are compared exactly, on loopback too.
 *
 * The document announces CIBA, JWT bearer grants and DPoP, as Descope's does; the emulator does
 * not implement them, and every access token is a plain bearer token.
 *
 * Anyone who reaches `/__test/` controls it, so run it on loopback or a private test network only.
 */
import type { AddressInfo } from 'node:net'
import type { JsonObject } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { trimSlashes } from '../../util/text.js'
import { revokeConsents } from './account.js'
import { decideDevice } from './device.js'
import { issuerUrl } from './documents.js'
import { createKeyRing, rotateKeys } from './keys.js'
import { type IdentityInput, parseOptions } from './options.js'
import type { Counters, RecordedRequest } from './records.js'
import { createRoutes } from './routes.js'
import { listenIdentity } from './server.js'
import { applyChanges, createState, forgetClients } from './state.js'
import { type MintOptions, mint } from './tokens.js'

export type { IdentityInput } from './options.js'

export interface Identity {
  /** Origin, without a trailing slash. */
  readonly url: string
  readonly projectId: string
  readonly serverId: string
  /** Issuer of the MCP server's document. */
  readonly issuer: string
  /** The value for `DESCOPE_CONFIG_URL`. */
  readonly configUrl: string
  readonly projectConfigUrl: string
  /** What was sent to the audit endpoint, oldest first. */
  readonly auditEvents: readonly JsonObject[]
  /** Oldest first; grows as requests arrive. */
  readonly requests: readonly RecordedRequest[]
  readonly counters: Readonly<Counters>
  /** Stops at once, cutting open connections. */
  close(): Promise<void>
  /**
   * Mints a valid access token for the options in force. Given claims and header members replace
   * its own; `undefined` takes one away.
   */
  mint(claims?: JsonObject, header?: JsonObject, options?: MintOptions): Promise<string>
  /** Signs with a new key; `keepPrevious: false` takes the older ones out of the key set. */
  rotateKeys(options?: { keepPrevious?: boolean }): Promise<void>
  /** Ends every consent that was given: each refresh then answers 404 `E063302`. */
  revokeConsents(): void
  /** Forgets every registered client, as if the MCP server were created again. */
  forgetClients(): void
  /** @throws {ProxyError} `USAGE` */
  set(options: IdentityInput): void
  /** Every token, code, secret, verifier and challenge that went in or out. */
  issuedSecrets(): string[]
  /** Returns whether there was a request with this user code. */
  approveDevice(userCode: string): boolean
  denyDevice(userCode: string): boolean
}

/**
 * Starts an emulator on a free port of loopback, unless told otherwise.
 *
 * @throws {ProxyError} `USAGE` or `LISTEN_FAILED`
 */
export async function startIdentity({
  clock,
  ...input
}: IdentityInput & { clock: Clock }): Promise<Identity> {
  const options = parseOptions(input)
  const state = createState(options, clock, await createKeyRing())
  const { projectId, serverId } = state
  const server = await listenIdentity(options, state, createRoutes(projectId, serverId))
  const { port } = server.address() as AddressInfo
  state.baseUrl =
    options.publicUrl === undefined
      ? `http://${urlHost(options.host)}:${port}`
      : trimSlashes(options.publicUrl)
  const suffix = '.well-known/openid-configuration'
  return {
    url: state.baseUrl,
    projectId,
    serverId,
    issuer: issuerUrl(state, 'agentic'),
    configUrl: `${issuerUrl(state, 'agentic')}/${suffix}`,
    projectConfigUrl: `${issuerUrl(state, 'project')}/${suffix}`,
    auditEvents: state.auditEvents,
    requests: state.requests,
    counters: state.counters,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    mint: (claims, header, mintOptions) => mint(state, claims, header, mintOptions),
    rotateKeys: ({ keepPrevious = true } = {}) => rotateKeys(state.keys, keepPrevious),
    revokeConsents: () => revokeConsents(state),
    forgetClients: () => forgetClients(state),
    set: (changes) => applyChanges(state, changes),
    issuedSecrets: () => [...state.secrets],
    approveDevice: (userCode) => decideDevice(state, userCode, 'approved'),
    denyDevice: (userCode) => decideDevice(state, userCode, 'denied'),
  }
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
