import { createBackoff } from '../../util/async.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import type { JsonObject } from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import { createKeyStore, type KeyStore } from '../verify/jwks.js'
import {
  createDocumentCache,
  type DescopeDiscovery,
  type DescopeProject,
  type DiscoveryKind,
  discover,
  parseConfigUrl,
  tokenEndpointOf,
} from './discovery.js'

/** The discovery document and the keys behind one configuration URL, for all endpoints that have it. */
export interface DescopeConnection {
  readonly project: DescopeProject
  readonly keys: Pick<KeyStore, 'get' | 'state'>
  /**
   * Fetches discovery and keys, once for all callers. When Descope is unreachable it resolves too, and
   * keeps trying in the background, with pauses that grow from 1 to 30 seconds.
   *
   * @throws {ProxyError} `DISCOVERY_INVALID` when the answer is not this project's document.
   */
  start(): Promise<void>
  /** `undefined` until Descope has answered. */
  discovery(): DescopeDiscovery | undefined
  /** Descope's unchanged document, cached; `undefined` while it is not available. */
  document(kind: DiscoveryKind): Promise<JsonObject | undefined>
  /**
   * @throws {ProxyError} `ISSUER_UNREACHABLE` or `DISCOVERY_INVALID` when there is none.
   */
  tokenEndpoint(): Promise<string>
  stop(): void
}

interface ConnectionOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  configUrl: string
  /** Accepted besides those of the configuration URL. */
  issuers: readonly string[]
  logger: Logger
}

/**
 * Prepares the connection. Nothing is fetched yet.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the configuration URL is wrong.
 */
export function connectDescope(options: ConnectionOptions): DescopeConnection {
  const { runtime, issuers, logger } = options
  const project = parseConfigUrl(options.configUrl)
  let discovery: DescopeDiscovery | undefined
  let started: Promise<void> | undefined
  let cancelRetry = () => {}
  let stopped = false

  const url = () => discovery?.jwksUri ?? project.jwksFallbackUrl
  const keys = createKeyStore({ runtime, logger, url })
  const documents = createDocumentCache({ runtime, logger, project, extraIssuers: issuers })

  const connect = async () => {
    discovery ??= await discover(runtime, project, issuers)
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

  const start = async () => {
    try {
      await connect()
    } catch (error) {
      if (!(error instanceof ProxyError && error.code === 'ISSUER_UNREACHABLE')) throw error
      const what = `${messageOf(error)}; requests are refused with 503 until it answers`
      logger.warn('descope_unreachable', what)
      retryLater()
    }
  }

  return {
    project,
    keys,
    start() {
      started ??= start()
      return started
    },
    discovery: () => discovery,
    document: documents.get,
    async tokenEndpoint() {
      discovery ??= await discover(runtime, project, issuers)
      return tokenEndpointOf(discovery, project)
    },
    stop() {
      stopped = true
      cancelRetry()
    },
  }
}
