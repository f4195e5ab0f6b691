/**
 * A Descope emulator on one HTTP server, for demonstrations and tests.
 *
 * Known of Descope: the paths, parameter and member names, the discovery documents, the forms of
 * ids, issuers and audiences, exact redirect URIs, S256 only, public clients from registration, the
 * codes that `refusals.ts` names, the device errors, the three minutes of a device code, the
 * lifetimes of tokens, `userinfo` that does not know the MCP server's tokens while the project's own
 * takes those with `descope.custom_claims`, that a public client revokes with its access token, and
 * the bodies of Connections, audit events and FGA checks.
 *
 * Choices of the emulator, which say nothing about Descope:
 * - the HTTP status of every error but `E063302`, and `E011003` where
 *   Descope's own code is not known;
 * - a code's and a pushed request's 60 s, a connect link's 10 minutes, a DPoP proof's 5 minutes, the
 *   5 s between polls, `jti`, and that refresh tokens are opaque;
 * - who may sign in: configured users, approved at once unless `approval` says otherwise;
 * - an unknown scope is refused at authorization (as a redirect), and cut away at registration;
 * - a `resource` other than `resourceUrl` is refused when that is set, and granted when it is not;
 *   what the project's own server does with `resource` is an option (`projectResource`);
 * - a client without a policy is refused at authorization too;
 * - `resource` is understood at the device grant;
 * - the refusal of `x-forwarded-host`, of registration when it is off, and of keyless revocation;
 * - a replayed refresh token, or code, ends its family;
 * - CIMD redirect URIs are compared exactly, on loopback too;
 * - `azp` in the ID token, and `acr_values` or `prompt=login` as what requests `su` (`stepUp: "asked"`);
 * - which audiences a client assertion may name; scopes of foreign resources at token exchange, and
 *   that exchange works at the MCP server's endpoint too (`agenticExchange`);
 * - the page of a connect link, what it adds to `redirectUrl`, that any of the user's tokens makes
 *   one, and the `accessTokenType` of an API key;
 * - which members of an audit event are demanded; relations hold only as configured.
 *
 * The documents announce CIBA and JWT bearer grants, as Descope's do; the emulator has neither.
 *
 * Anyone who reaches `/__test/` controls it, so run it on loopback or a private test network only.
 */
import type { AddressInfo } from 'node:net'
import { ProxyError } from '../../util/errors.js'
import type { JsonObject } from '../../util/json.js'
import { isWildcard } from '../../util/private-addresses.js'
import type { Clock } from '../../util/runtime.js'
import { trimSlashes } from '../../util/text.js'
import { revokeConsents } from './account.js'
import { decideDevice } from './device.js'
import { issuerUrl } from './documents.js'
import { type KeptState, keeper, keptKeys, readKept, restore } from './kept.js'
import { createKeyRing, rotateKeys } from './keys.js'
import { type IdentityInput, type IdentityOptions, parseOptions } from './options.js'
import type { Counters, RecordedRequest } from './records.js'
import { createRoutes } from './routes.js'
import { listenIdentity } from './server.js'
import {
  applyChanges,
  createState,
  type MachineClient,
  newSecret,
  remember,
  type State,
} from './state.js'
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
  /** The confidential client that was requested, with its secret. */
  readonly machineClient: MachineClient | undefined
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
 * Starts an emulator, by default on a free port of loopback.
 *
 * @throws {ProxyError} `USAGE` or `LISTEN_FAILED`
 */
export async function startIdentity({
  clock,
  ...input
}: IdentityInput & { clock: Clock }): Promise<Identity> {
  const given = parseOptions(input)
  const folder = given.stateFolder
  const kept = folder === undefined ? undefined : await readKept(folder)
  const options = kept === undefined ? given : withKept(given, kept)
  const keys = kept === undefined ? await createKeyRing() : await keptKeys(kept)
  const state = createState(options, clock, keys)
  const { projectId, serverId } = state
  setMachineClient(state, kept)
  if (kept !== undefined) restore(state, kept)
  const server = await listenIdentity(options, state, createRoutes(projectId, serverId))
  const { port } = server.address() as AddressInfo
  state.baseUrl =
    options.publicUrl === undefined
      ? `http://${urlHost(options.host)}:${port}`
      : trimSlashes(options.publicUrl)
  if (folder !== undefined) {
    state.save = keeper(folder, state, port)
    await state.save().catch((error) => {
      server.close()
      throw error
    })
  }
  // if the folder cannot be written to any more, the next request reports it
  const save = () => void state.save().catch(() => undefined)
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
    machineClient: state.machineClient,
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      await state.save()
    },
    mint: (claims, header, mintOptions) => mint(state, claims, header, mintOptions),
    rotateKeys: async ({ keepPrevious = true } = {}) => {
      await rotateKeys(state.keys, keepPrevious)
      await state.save()
    },
    revokeConsents: () => {
      revokeConsents(state)
      save()
    },
    forgetClients: () => {
      state.clients.clear()
      save()
    },
    set: (changes) => applyChanges(state, changes),
    issuedSecrets: () => [...state.secrets.keys()],
    approveDevice: (userCode) => decideDevice(state, userCode, 'approved'),
    denyDevice: (userCode) => decideDevice(state, userCode, 'denied'),
  }
}

/**
 * Continues the project of a folder, at the port it had, so that its URLs stay the same.
 *
 * @throws {ProxyError} `CONFIG_INVALID` for ids of another project.
 */
function withKept(options: IdentityOptions, kept: KeptState): IdentityOptions {
  const { projectId, serverId } = kept
  for (const [name, value] of Object.entries({ projectId, serverId })) {
    const given = options[name as 'projectId' | 'serverId']
    if (given === undefined || given === value) continue
    const message = `"${name}" is ${given}, but the folder ${options.stateFolder} holds ${value}`
    throw new ProxyError('CONFIG_INVALID', message, {
      hint: 'Leave it out, or use another folder.',
    })
  }
  const port = options.port === 0 ? kept.port : options.port
  return { ...options, projectId, serverId, port }
}

function setMachineClient(state: State, kept: KeptState | undefined): void {
  const requested = state.options.machineClient
  state.machineClient = kept?.machineClient
  if (requested !== undefined) {
    const { clientId } = requested
    const known = state.machineClient?.clientId === clientId ? state.machineClient : undefined
    const clientSecret = requested.clientSecret ?? known?.clientSecret ?? newSecret(state)
    state.machineClient = { clientId, clientSecret }
  }
  remember(state, state.machineClient?.clientSecret)
}

function urlHost(host: string): string {
  if (isWildcard(host)) return '127.0.0.1'
  return host.includes(':') ? `[${host}]` : host
}
