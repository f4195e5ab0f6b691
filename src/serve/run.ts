import type { LoadedConfig } from '../config/load.js'
import { mcpUrlOf } from '../config/public-url.js'
import { createLogger, type Logger } from '../util/logger.js'
import { createRedactor } from '../util/redact.js'
import type { Runtime, StopSignal } from '../util/runtime.js'
import type { MakeOffers } from './landing.js'
import { listenUrl } from './listen.js'
import { startMetricsServer } from './metrics.js'
import { type RunningServer, startServer } from './server.js'
import { isWorker, runWorkers, tellReady } from './workers.js'

/** Node versions that get no security fixes any more. */
const ENDED_NODE = /^20\./

/**
 * Runs `serve` until SIGINT, SIGTERM or SIGHUP.
 *
 * @param offers What the landing page says about assistants.
 * @returns The exit status.
 * @throws {ProxyError} When it cannot start.
 */
export async function runServe(
  runtime: Runtime,
  loaded: LoadedConfig,
  offers: MakeOffers,
): Promise<number> {
  const { config } = loaded
  const logger = createLogger({
    io: runtime.io,
    clock: runtime.clock,
    ...config.log,
    redact: createRedactor(loaded.secrets),
  })
  if (!isWorker()) warnAtStart(runtime, config.server.insecureNoAuth, logger)
  if (config.server.workers > 1 && !isWorker()) {
    return runWorkers(runtime, config, logger, (port) =>
      announce(
        logger,
        mcpUrlOf(config.server, port),
        listenUrl({ host: config.server.host, port }, config.server.path),
        loaded,
      ),
    )
  }
  const stopped = new Promise<StopSignal>((resolve) => {
    runtime.onSignal(resolve)
  })
  const server = await startServer({ ...runtime, offers }, config, logger)
  const metrics = isWorker() ? undefined : await startMetrics(server, config.server)
  if (isWorker()) tellReady(server.port)
  else announce(logger, server.resource, server.url, loaded)
  const signal = await stopped
  logger.info('stopping', `${signal}: finishing running requests`)
  await server.close()
  metrics?.close()
  metrics?.closeAllConnections()
  return 0
}

/** Without its metrics the server does not run: whoever asked for them watches it by them. */
async function startMetrics(
  running: RunningServer,
  { host, metricsPort: port }: LoadedConfig['config']['server'],
) {
  if (running.metrics === undefined || port === undefined) return undefined
  try {
    return await startMetricsServer(running.metrics, { host, port })
  } catch (error) {
    await running.close()
    throw error
  }
}

function announce(logger: Logger, resource: string, url: string, { config }: LoadedConfig): void {
  const targets = config.targets.map(({ name }) => name)
  logger.info('listening', `Listening on ${url} for ${resource}, targets: ${targets.join(', ')}`, {
    url,
    resource,
    targets,
  })
}

function warnAtStart(
  { nodeVersion }: Pick<Runtime, 'nodeVersion'>,
  insecureNoAuth: boolean,
  logger: Logger,
): void {
  if (ENDED_NODE.test(nodeVersion)) {
    logger.warn('old_node', `Node ${nodeVersion} gets no security fixes any more: use 22 or 24`)
  }
  if (insecureNoAuth) {
    logger.warn(
      'no_auth',
      'Authentication is off (--insecure-no-auth): whoever reaches this port is let in',
    )
  }
}
