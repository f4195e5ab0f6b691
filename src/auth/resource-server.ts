import { createBackoff } from '../util/async.js'
import { messageOf, ProxyError } from '../util/errors.js'
import type { JsonObject } from '../util/json.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import {
  acceptsIssuer,
  createDocumentCache,
  type DescopeDiscovery,
  type DescopeProject,
  type DiscoveryKind,
  discover,
  parseConfigUrl,
  tokenEndpointOf,
} from './descope/discovery.js'
import { type Authenticator, createAuthenticator } from './verify/authenticator.js'
import { createKeyStore, type KeysState } from './verify/jwks.js'
import { scopesToAsk } from './verify/resource-metadata.js'
import { createVerifier } from './verify/verify-token.js'

/** What is configured about Descope. */
export interface DescopeSettings {
  configUrl: string | undefined
  audience: readonly string[]
  requiredScopes: readonly string[]
  issuers: readonly string[]
}

export interface DescopeOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  config: DescopeSettings
  /** The public MCP URL. */
  resource: string
  logger: Logger
  /** Names of further claims that principals keep. */
  keptClaims?: readonly string[] | undefined
}

/** What `serve` needs from Descope. */
export interface Descope extends Authenticator {
  readonly project: DescopeProject
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
  /** For resource metadata and challenges: the required scopes, else what Descope offers. */
  scopesSupported(): readonly string[]
  /**
   * @throws {ProxyError} `ISSUER_UNREACHABLE` or `DISCOVERY_INVALID` when there is none.
   */
  tokenEndpoint(): Promise<string>
  stop(): void
}

/**
 * Creates the connection to one Descope project.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the configuration URL is missing or wrong.
 */
export function createDescope({
  runtime,
  config,
  resource,
  logger,
  keptClaims,
}: DescopeOptions): Descope {
  if (config.configUrl === undefined) {
    throw new ProxyError('CONFIG_INVALID', 'DESCOPE_CONFIG_URL is not set', {
      hint: 'Set it to the Discovery URL of the MCP server in the Descope console.',
    })
  }
  const project = parseConfigUrl(config.configUrl)
  const extraIssuers = config.issuers
  let discovery: DescopeDiscovery | undefined
  let cancelRetry = () => {}
  let stopped = false

  const url = () => discovery?.jwksUri ?? project.jwksFallbackUrl
  const keys = createKeyStore({ runtime, logger, url })
  const verifier = createVerifier({
    clock: runtime.clock,
    keys,
    acceptsIssuer: acceptsIssuer(project, extraIssuers),
    resource,
    audience: config.audience,
    requiredScopes: config.requiredScopes,
    keptClaims,
  })
  const { authenticate } = createAuthenticator(verifier, runtime.clock)
  const documents = createDocumentCache({ runtime, logger, project, extraIssuers })

  const connect = async () => {
    discovery ??= await discover(runtime, project, extraIssuers)
    await keys.load()
    if (discovery.jwksUriRefused) {
      logger.warn('jwks_uri_refused', "Descope's document names keys at another origin; not used", {
        used: discovery.jwksUri,
      })
    }
  }

  const backoff = createBackoff(1_000, 30_000, Math.random)
  const retryLater = () => {
    if (stopped) return
    cancelRetry = runtime.clock.after(backoff.next(), () => {
      connect().then(
        () => logger.info('descope_ready', `Descope answers again at ${project.base}`),
        (error: unknown) => {
          logger.warn('descope_unavailable', messageOf(error))
          retryLater()
        },
      )
    })
  }

  return {
    project,
    authenticate,
    keysState: keys.state,
    issuer: () => discovery?.issuer ?? project.issuer,
    document: documents.get,
    scopesSupported: () => scopesToAsk(config.requiredScopes, discovery?.scopesSupported ?? []),
    async start() {
      const { audience } = config
      if (audience.length > 0) {
        const what = 'Tokens for other audiences than this server are accepted, as configured'
        logger.warn('audience_widened', what, { audience })
      }
      try {
        await connect()
      } catch (error) {
        if (!(error instanceof ProxyError && error.code === 'ISSUER_UNREACHABLE')) throw error
        const what = `${messageOf(error)}; requests are refused with 503 until it answers`
        logger.warn('descope_unreachable', what)
        retryLater()
      }
    },
    async tokenEndpoint() {
      discovery ??= await discover(runtime, project, extraIssuers)
      return tokenEndpointOf(discovery, project)
    },
    stop() {
      stopped = true
      cancelRetry()
    },
  }
}
