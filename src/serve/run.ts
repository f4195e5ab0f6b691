import type { LoadedConfig } from '../config/load.js'
import { sleep } from '../util/async.js'
import { firstFault } from '../util/errors.js'
import { createLogger, type Logger } from '../util/logger.js'
import { createRedactor, type Redact } from '../util/redact.js'
import { createRenewableLogger } from '../util/renewable-logger.js'
import type { Runtime } from '../util/runtime.js'
import { VERSION } from '../util/version.js'
import { reopensAudit } from './audit.js'
import { type ConsoleParts, hasConsole, openConsole } from './console/open.js'
import { createTeller } from './console/recent-calls.js'
import type { MakeOffers } from './landing-page.js'
import { portOf, startMetricsServer } from './metrics-server.js'
import { createCrew } from './reload/crew.js'
import { followCrew } from './reload/crew-member.js'
import { createOwnMetrics } from './reload/reload-metrics.js'
import { createReloader, type ReloaderOptions } from './reload/reloader.js'
import { announceListening, announceStart, type RunningServer, startServer } from './server.js'
import { readRules } from './targets.js'
import {
  isWorker,
  runWorkers,
  sharedReplays,
  tellEnd,
  tellReady,
  tellWorkersOwner,
} from './workers.js'

/** Node versions without security fixes. */
const ENDED_NODE = /^20\./

const FAULT_FOLLOWS =
  'new requests are refused, running ones are finished, and this process ends with status 1'

/** After an error that nothing caught, closing may wait for what that error broke. */
const CLOSE_MS = 5_000

export interface ServeParts {
  /** What the landing page says about assistants. */
  offers: MakeOffers
  /** Says what is odd about the configuration. */
  warn: () => void
  /** Reads the configuration anew. */
  load: () => LoadedConfig
}

/**
 * Runs `serve` until SIGINT or SIGTERM. SIGHUP reloads the configuration.
 *
 * @returns The exit status.
 * @throws {ProxyError} When it cannot start.
 */
export async function runServe(
  runtime: Runtime,
  loaded: LoadedConfig,
  { offers, warn, load }: ServeParts,
): Promise<number> {
  const { config } = loaded
  const { clock } = runtime
  const { logger, redact, renew } = createServeLogger(runtime, loaded)
  const runs = { version: VERSION, node: runtime.nodeVersion, config: loaded.file }
  const startedAt = clock.now()
  const end = (why: string, requests: number) => {
    const seconds = Math.round((clock.now() - startedAt) / 1000)
    const text = `Stopped (${why}) after ${requests} requests in ${seconds} s`
    logger.info('stopped', text, { why, requests, seconds })
  }
  const console = isWorker() ? undefined : openConsole(loaded, clock)
  const reloads = { clock, logger, loaded, load }
  if (!isWorker()) {
    // with workers, none is to find that out by itself
    await readRules(config, clock)
    announceStart(runs, config, logger)
    warn()
    warnAtStart(runtime, config.server.insecureNoAuth, logger)
    if (config.server.workers > 1) {
      const own =
        config.server.metricsPort === undefined ? undefined : await createOwnMetrics(clock)
      const crew = createCrew(loaded, clock)
      const apply: ReloaderOptions['apply'] = async (next, changes) => {
        await crew.apply(next, changes)
        renew(next)
        console?.renew(next)
      }
      const reloader = createReloader({ ...reloads, apply, count: own?.count })
      const stopListening = runtime.onReload?.(() => {
        if (reopensAudit(runtime, config)) crew.reopen()
        reloader.request('SIGHUP')
      })
      const listener = {
        onListening: (port: number, metricsPort: number | undefined) =>
          announceListening(runs, config, { port, metricsPort }, logger),
        onEnd: end,
        console,
        ...(own && { ownMetrics: own.text }),
      }
      const ended = runWorkers(runtime, config, logger, listener, crew.fork)
      return ended.finally(() => {
        reloader.stop()
        stopListening?.()
      })
    }
  }
  const reopens = reopensAudit(runtime, config)
  let running: RunningServer | undefined
  const fault = firstFault(runtime, logger, FAULT_FOLLOWS).then(() => FAULT)
  const stopped = new Promise<Stop>((resolve) => {
    runtime.onSignal((signal) => {
      if (signal === 'SIGHUP' && reopens) running?.reopen()
      else resolve({ why: signal, status: 0 })
    })
    void fault.then(resolve)
  })
  const replays = isWorker() ? sharedReplays(clock) : undefined
  const onFinished =
    isWorker() && hasConsole(config) ? createTeller(clock, tellWorkersOwner) : console?.note
  const parts = {
    ...runtime,
    offers,
    configFile: loaded.file,
    onFinished,
    redact,
    replays,
    process: runtime.system,
  }
  const starting = startServer(parts, config, logger)
  const reloader = isWorker()
    ? undefined
    : createReloader({
        ...reloads,
        async apply(next, { changed }) {
          const { prepare } = await starting
          const prepared = await prepare(next.config, changed)
          renew(next)
          prepared.commit()
          console?.renew(next)
        },
        count: (...counted) => void starting.then(({ metrics }) => metrics?.reload?.(...counted)),
      })
  // to a worker, the first process says what is to be done
  runtime.onReload?.(() => {
    running?.reopen()
    reloader?.request('SIGHUP')
  })
  const server = await Promise.race([starting, fault])
  if ('status' in server) return server.status
  const metrics = isWorker() ? undefined : await startMetrics(server, config.server, console)
  running = server
  if (isWorker()) {
    const prepare: Parameters<typeof followCrew>[0] = ({ config: next }, changed) =>
      server.prepare(next, changed)
    followCrew(prepare, renew, server.reopen)
    tellReady(server.port)
  } else {
    const ports = { port: server.port, metricsPort: metrics && portOf(metrics) }
    announceListening(runs, config, ports, logger)
  }
  const { why, status } = await stopped
  reloader?.stop()
  logger.info('stopping', `${why}: finishing running requests`)
  const isFault = status !== 0
  // the other workers take what comes now
  const closed = server.close({ stopListening: isFault && isWorker() })
  const { drain } = config.timeouts
  await (isFault ? Promise.race([closed, sleep(clock, drain * 1000 + CLOSE_MS)]) : closed)
  metrics?.close()
  metrics?.closeAllConnections()
  if (isWorker()) await tellEnd(server.requests())
  else end(why, server.requests())
  return status
}

/** Secrets that were in force before are kept out of the log too: so many of them. */
const MAX_FORMER = 200

/** Creates the log, and the function that gives it the settings of another configuration. */
function createServeLogger({ io, clock }: Runtime, loaded: LoadedConfig) {
  let secrets: readonly string[] = []
  let current = createRedactor()
  const redact: Redact = (text, isName) => current(text, isName)
  const create = ({ config, secrets: own }: LoadedConfig) => {
    secrets = [...new Set([...own, ...secrets])].slice(0, own.length + MAX_FORMER)
    current = createRedactor(secrets)
    return createLogger({ io, clock, ...config.log, redact: current })
  }
  const { logger, use } = createRenewableLogger(create(loaded))
  return { logger, redact, renew: (next: LoadedConfig) => use(create(next)) }
}

interface Stop {
  why: string
  /** The exit status. */
  status: number
}

const FAULT: Stop = { why: 'an error that nothing caught', status: 1 }

/** A failure to serve metrics is fatal: an operator who requested them relies on them. */
async function startMetrics(
  running: RunningServer,
  server: LoadedConfig['config']['server'],
  console: ConsoleParts | undefined,
) {
  const { metricsPort } = server
  if (running.metrics === undefined || metricsPort === undefined) return undefined
  try {
    const { text } = running.metrics
    return await startMetricsServer(
      running.metrics,
      { ...server, metricsPort },
      console?.create(text),
    )
  } catch (error) {
    await running.close()
    throw error
  }
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
