import { ProxyError } from '../util/errors.js'
import type { JsonObject } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { connectDescope, type DescopeConnection } from './descope/connection.js'
import { acceptsIssuer, type DescopeProject, type DiscoveryKind } from './descope/discovery.js'
import { type Authenticator, createAuthenticator } from './verify/authenticator.js'
import { ownServerOf } from './verify/claims.js'
import type { DpopMode } from './verify/dpop-proof.js'
import type { KeysState } from './verify/jwks.js'
import { scopesToAsk } from './verify/resource-metadata.js'
import { createVerifier } from './verify/verify-token.js'

/** What is configured about Descope. */
export interface DescopeSettings {
  configUrl: string | undefined
  audience: readonly string[]
  requiredScopes: readonly string[]
  issuers: readonly string[]
  /** Without it, `off`. */
  dpop?: DpopMode | undefined
}

export interface DescopeOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  config: DescopeSettings
  /** The URL of the endpoint. */
  resource: string
  /** The public URL, where it has only this endpoint: an audience too. */
  publicUrl?: string | undefined
  /** Other endpoints have the same configuration URL, so that an issuer does not say which is meant. */
  isShared?: boolean | undefined
  /** Scopes that the policy of the endpoint's targets requires. */
  policyScopes?: readonly string[] | undefined
  /** Where endpoints share one. */
  connection?: DescopeConnection | undefined
  logger: Logger
  /** Names of further claims that principals keep. */
  keptClaims?: readonly string[] | 'all' | undefined
}

/** What an endpoint of `serve` needs from Descope. */
export interface Descope extends Authenticator {
  readonly project: DescopeProject
  /** Every token of the endpoint must carry these. */
  readonly requiredScopes: readonly string[]
  /** Whether tokens are taken with a proof of their key. */
  readonly dpop: DpopMode
  /**
   * Fetches discovery and keys. When Descope is unreachable it resolves too, and keeps trying in the
   * background, with pauses that grow from 1 to 30 seconds.
   *
   * @throws {ProxyError} `DISCOVERY_INVALID` when the answer is not this project's document.
   */
  start(): Promise<void>
  keysState(): KeysState
  /** The issuer to advertise: as in the discovery document, else as the configuration URL has it. */
  issuer(): string
  /** Descope's unchanged document, cached; `undefined` while it is not available. */
  document(kind: DiscoveryKind): Promise<JsonObject | undefined>
  /**
   * For resource metadata and challenges: all scopes that anything at the endpoint requires, else what
   * Descope offers.
   */
  scopesSupported(): readonly string[]
  /**
   * @throws {ProxyError} `ISSUER_UNREACHABLE` or `DISCOVERY_INVALID` when there is none.
   */
  tokenEndpoint(): Promise<string>
  stop(): void
}

/**
 * Creates what one endpoint needs of Descope.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the configuration URL is missing or wrong.
 */
export function createDescope(options: DescopeOptions): Descope {
  const { runtime, config, resource, logger, keptClaims, policyScopes = [] } = options
  const { audience, requiredScopes, issuers, dpop = 'off' } = config
  const connection = options.connection ?? connectionTo(options)
  const { project, keys, discovery } = connection
  const ownServer = options.isShared ? undefined : ownServerOf(project)
  const verifier = createVerifier({
    ...{ clock: runtime.clock, keys, acceptsIssuer: acceptsIssuer(project, issuers) },
    ...{ resource, publicUrl: options.publicUrl, audience, ownServer, requiredScopes, keptClaims },
    acceptsBound: dpop !== 'off',
  })
  const { authenticate, authenticateBound } = createAuthenticator(verifier, runtime.clock)

  /** A client that requests a scope which Descope does not have gets none at all. */
  function warnOfUnknownScopes(): void {
    const offered = discovery()?.scopesSupported ?? []
    const unknown = [...new Set([...requiredScopes, ...policyScopes])].filter(
      (scope) => !offered.includes(scope),
    )
    if (offered.length === 0 || unknown.length === 0) return
    const what = `Descope does not offer the scopes ${unknown.join(' ')} that are configured for ${resource}: nobody can get them. Add them to the MCP server at Descope (Scopes)`
    logger.warn('scopes_unknown', what, { scopes: unknown })
  }

  /** Descope puts our URL into `aud` for an MCP server that has it, and such a server has an own URL. */
  function warnOfProjectUrl(): void {
    const { projectId, serverId } = project
    if (serverId !== undefined || audience.length > 0) return
    const isOnly = options.publicUrl !== undefined
    const what = `The configuration URL ${project.issuer} is that of a whole project: its tokens often name only the project in "aud", and all that do not name ${resource} are refused. Enter ${resource} in Descope as MCP Server URL of an MCP server, and that server's Discovery URL as configuration URL (DESCOPE_CONFIG_URL)${isOnly ? `; or write ${projectId} into descope.audience, which accepts the tokens of all applications of the project` : ''}`
    logger.warn('project_url', what, { resource })
  }

  return {
    project,
    authenticate,
    authenticateBound,
    dpop,
    requiredScopes,
    keysState: keys.state,
    issuer: () => discovery()?.issuer ?? project.issuer,
    document: connection.document,
    scopesSupported: () =>
      scopesToAsk(requiredScopes, discovery()?.scopesSupported ?? [], policyScopes),
    async start() {
      if (audience.length > 0) {
        const what = 'Tokens for other audiences than this server are accepted, as configured'
        logger.warn('audience_widened', what, { audience })
      }
      warnOfProjectUrl()
      await connection.start()
      warnOfUnknownScopes()
    },
    tokenEndpoint: connection.tokenEndpoint,
    stop: connection.stop,
  }
}

function connectionTo({ runtime, config, logger }: DescopeOptions): DescopeConnection {
  const { configUrl, issuers } = config
  if (configUrl !== undefined) return connectDescope({ runtime, configUrl, issuers, logger })
  throw new ProxyError('CONFIG_INVALID', 'DESCOPE_CONFIG_URL is not set', {
    hint: 'Set it to the Discovery URL of the MCP server in the Descope console.',
  })
}
