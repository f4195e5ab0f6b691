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
} from './descope/discovery.js'
import { type Authenticator, createAuthenticator } from './verify/authenticator.js'
import { createKeyStore, type KeysState } from './verify/jwks.js'
import { scopesToAsk } from './verify/resource-metadata.js'
import { createVerifier } from './verify/verify-token.js'

const FIRST_RETRY_MS = 1_000

const LAST_RETRY_MS = 30_000

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
  /** The public MCP URL; a function when it is known only after listening. */
  resource: string | (() => string)
  logger: Logger
  /** Names of further claims that principals keep. */
  keptClaims?: readonly string[] | undefined
}

/** What `serve` needs from Descope. */
export interface Descope extends Authenticator {
  readonly project: DescopeProject
  /**
   * Fetches discovery and keys. When Descope is unreachable it resolves all the same, and goes on
   * trying in the background, after 1 second at first and every 30 seconds at last.
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

  const keys = createKeyStore({
    runtime,
    logger,
    url: () => discovery?.jwksUri ?? project.jwksFallbackUrl,
  })
  const verifier = createVerifier({
    clock: runtime.clock,
    keys,
    acceptsIssuer: acceptsIssuer(project, extraIssuers),
    resource: typeof resource === 'function' ? resource : () => resource,
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

  const backoff = createBackoff(FIRST_RETRY_MS, LAST_RETRY_MS, Math.random)
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
      if (config.audience.length > 0) {
        logger.warn(
          'audience_widened',
          'Tokens for other audiences than this server are accepted, as configured',
          { audience: config.audience },
        )
      }
      try {
        await connect()
      } catch (error) {
        if (!(error instanceof ProxyError && error.code === 'ISSUER_UNREACHABLE')) throw error
        logger.warn(
          'descope_unreachable',
          `${messageOf(error)}; requests are refused with 503 until it answers`,
        )
        retryLater()
      }
    },
    async tokenEndpoint() {
      discovery ??= await discover(runtime, project, extraIssuers)
      if (discovery.tokenEndpoint) return discovery.tokenEndpoint
      throw new ProxyError(
        'DISCOVERY_INVALID',
        `Descope's discovery document names no token endpoint at ${project.base}`,
      )
    },
    stop() {
      stopped = true
      cancelRetry()
    },
  }
}
