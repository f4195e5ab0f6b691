import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { endpointsOf, mainUrlOf } from '../config/endpoints.js'
import type { ProxyConfig } from '../config/types.js'
import type { Logger } from '../util/logger.js'
import { Roster } from '../util/roster.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT } from '../util/version.js'
import { type Assembled, assemble, type ServerRuntime } from './assemble.js'
import { hasConsole, whyNoConsole } from './console/open.js'
import type { HttpReply } from './http-reply.js'
import { createHttpServer, listen, listenUrl, serverTimes } from './http-server.js'
import type { Metrics } from './metrics.js'

const DRAIN_POLL_MS = 50

export interface RunningServer {
  /** The public MCP URL. */
  readonly resource: string
  /** Where the endpoint listens. */
  readonly url: string
  readonly port: number
  readonly metrics: Metrics | undefined
  readonly reopen: () => void
  /** How many requests came to the endpoint so far, refused ones too. */
  requests(): number
  /** See {@link Assembled}. */
  prepare: Assembled['prepare']
  /**
   * Finishes running requests, at most `timeouts.drain` seconds, and closes everything. Until then
   * new ones are told that they come too late, unless others listen on the same port.
   */
  close(how?: { stopListening: boolean }): Promise<void>
}

/**
 * Starts the proxy.
 *
 * @throws {ProxyError} `LISTEN_FAILED` when the port cannot be had, `DISCOVERY_INVALID` when
 *   `DESCOPE_CONFIG_URL` leads to something else than Descope's document.
 */
export async function startServer(
  runtime: ServerRuntime,
  config: ProxyConfig,
  logger: Logger,
): Promise<RunningServer> {
  const { clock } = runtime
  const server = createHttpServer(config, (broken) => live?.app.broken(broken))
  let assembled: Promise<Assembled> | undefined
  let live: Assembled['live'] | undefined
  // the port is known only after listening; requests that come earlier wait until all is ready
  const wait = (request: IncomingMessage, response: ServerResponse) =>
    assembled?.then(
      (ready) => ready.live.app.handle(request, response),
      () => response.destroy(),
    )
  server.on('request', wait)
  await listen(server, config.server)
  const { port } = server.address() as AddressInfo
  const streams = new Roster<HttpReply>()
  const assembling = assemble(runtime, config, logger, port, streams)
  assembled = assembling
  const parts = await assembling.catch(async (error: unknown) => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    throw error
  })
  const inForce = parts.live
  live = inForce
  server.off('request', wait)
  server.on('request', (request, response) => inForce.app.handle(request, response))
  return {
    resource: mainUrlOf(config, port),
    url: mainListenUrl(config, port),
    port,
    metrics: parts.metrics,
    reopen: () => parts.audit?.trail.reopen(),
    requests: () => parts.counts.requests,
    async prepare(next, changed) {
      const prepared = await parts.prepare(next, changed)
      return {
        ...prepared,
        commit() {
          Object.assign(server, serverTimes(next))
          prepared.commit()
        },
      }
    },
    async close(how) {
      const end = clock.now() + parts.timeouts.drain * 1000
      inForce.app.drain()
      if (how?.stopListening) server.close()
      await drained(() => parts.counts.running, clock, end)
      inForce.app.stop()
      server.closeAllConnections()
      await Promise.all([new Promise((resolve) => server.close(resolve)), parts.close()])
      await parts.audit?.trail.close(end - clock.now())
    },
  }
}

/**
 * Waits until no request runs any more, at most until `end`. Connections that never sent a request,
 * as browsers and load balancers open them, are not waited for.
 */
async function drained(running: () => number, clock: Runtime['clock'], end: number): Promise<void> {
  while (running() > 0 && clock.now() < end) {
    await new Promise<void>((resolve) => {
      clock.after(DRAIN_POLL_MS, resolve)
    })
  }
}

/** What runs here, for readers of the log. */
interface Identification {
  readonly version: string
  readonly node: string
  readonly config: string | undefined
}

/** The first line: what starts, with which configuration, and under which URL. */
export function announceStart(runs: Identification, config: ProxyConfig, logger: Logger): void {
  const { server } = config
  const isKnown = server.publicUrl !== undefined || server.port !== 0
  const resource = isKnown ? mainUrlOf(config, server.port) : undefined
  const { version, node } = runs
  const file =
    runs.config === undefined ? 'no configuration file' : `configuration file ${runs.config}`
  const url = resource ?? 'a free port of this machine'
  const text = `${PRODUCT} ${version} on Node ${node}, ${file}, for ${url}`
  logger.info('starting', text, { ...runs, resource })
}

/** Connections are accepted. Without a configured public URL, one name is used everywhere. */
export function announceListening(
  runs: Identification,
  config: ProxyConfig,
  { port, metricsPort }: ListeningPorts,
  logger: Logger,
): void {
  const { server, targets: configured } = config
  const { publicUrl } = server
  const resource = mainUrlOf(config, port)
  const url = publicUrl === undefined ? resource : mainListenUrl(config, port)
  const targets = configured.map(({ name }) => name)
  const at = publicUrl === undefined ? url : `${url} for ${resource}`
  const own = endpointsOf(config, port).filter(({ target }) => target !== undefined)
  const places = own.length === 0 ? '' : `, endpoints: ${own.map((it) => it.url).join(', ')}`
  const { metrics, console } = operatorUrls(config, metricsPort)
  const ofOperators = [metrics && `, metrics: ${metrics}`, console && `, console: ${console}`]
  const text = `Listening on ${at}, targets: ${targets.join(', ')}${places}${ofOperators.join('')}`
  const endpoints = own.length === 0 ? undefined : own.map((it) => it.url)
  const named = { url, resource, targets, endpoints, metrics, console }
  logger.info('listening', text, { ...named, ...runs })
  const why = whyNoConsole(config)
  if (why !== undefined) logger.info('no_console', why)
}

/** Ports as they were taken; that of the metrics only where there are any. */
interface ListeningPorts {
  readonly port: number
  readonly metricsPort: number | undefined
}

/** Where operators look. */
function operatorUrls(config: ProxyConfig, port: number | undefined) {
  if (port === undefined) return {}
  const at = { host: config.server.metricsHost, port }
  return {
    metrics: listenUrl(at, '/metrics'),
    console: hasConsole(config) ? listenUrl(at, '/') : undefined,
  }
}

/** Where the only endpoint, or that of all targets, listens; else where the front page does. */
function mainListenUrl(config: ProxyConfig, port: number): string {
  const [first, ...others] = endpointsOf(config, port)
  const isMain = first !== undefined && (first.target === undefined || others.length === 0)
  return listenUrl({ host: config.server.host, port }, isMain ? first.path : '/')
}
