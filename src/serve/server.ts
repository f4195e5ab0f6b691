import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createDescope } from '../auth/service.js'
import { mcpUrlOf } from '../config/public-url.js'
import type { ProxyConfig } from '../config/types.js'
import { createGateway } from '../gateway/gateway.js'
import { createSessions } from '../gateway/sessions.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { type App, createApp } from './app.js'
import type { HttpReply } from './http-reply.js'
import type { MakeOffers } from './landing.js'
import { listen, listenUrl } from './listen.js'
import { createMetrics, type Metrics } from './metrics.js'
import { sessionSecrets } from './session-secrets.js'
import { openTargets, type TargetsRuntime } from './targets.js'

const MAX_HEADER_BYTES = 16 * 1024
/** Above the idle time of common load balancers, so that they close connections and not we. */
const KEEP_ALIVE_MS = 75_000
const DRAIN_POLL_MS = 50

export interface RunningServer {
  /** The public MCP URL. */
  readonly resource: string
  /** Where the endpoint listens. */
  readonly url: string
  readonly port: number
  readonly metrics: Metrics | undefined
  /** Finishes running requests, at most `timeouts.drain` seconds, and closes everything. */
  close(): Promise<void>
}

/** What a server needs of the program around it. */
interface ServerRuntime extends TargetsRuntime {
  /** Without them the landing page names the URL only. */
  offers?: MakeOffers
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
  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: config.timeouts.headers * 1000,
    requestTimeout: config.timeouts.body * 1000,
    keepAliveTimeout: KEEP_ALIVE_MS,
    noDelay: true,
  })
  /** Requests whose answers have not ended yet. */
  let running = 0
  const ended = () => {
    running--
  }
  let app: App | undefined
  let assembled: Promise<{ app: App }> | undefined
  // the port is known only after listening; whoever comes before all is ready waits that long
  server.on('request', (request, response) => {
    running++
    response.on('close', ended)
    if (app !== undefined) app.handle(request, response)
    else {
      assembled?.then(
        (ready) => ready.app.handle(request, response),
        () => response.destroy(),
      )
    }
  })
  await listen(server, config.server)
  const { port } = server.address() as AddressInfo
  const resource = mcpUrlOf(config.server, port)
  const streams = new Set<HttpReply>()
  const assembling = assemble(runtime, config, logger, resource, streams)
  assembled = assembling
  const parts = await assembling.catch(async (error: unknown) => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    throw error
  })
  app = parts.app
  const { host, path } = config.server
  return {
    resource,
    url: listenUrl({ host, port }, path),
    port,
    metrics: parts.metrics,
    async close() {
      parts.app.drain()
      await drained(() => running, clock, config.timeouts.drain * 1000)
      parts.app.stop()
      server.closeAllConnections()
      await Promise.all([new Promise((resolve) => server.close(resolve)), parts.close()])
    },
  }
}

/** Joins Descope, the targets and the request handler. */
export async function assemble(
  runtime: ServerRuntime,
  config: ProxyConfig,
  logger: Logger,
  resource: string,
  streams: Set<HttpReply>,
) {
  const { clock } = runtime
  const descope = config.server.insecureNoAuth
    ? undefined
    : createDescope({ runtime, config: config.descope, resource, logger })
  // loaded now, so that the first older client of a newer server does not wait for it
  await Promise.all([descope?.start(), import('../mcp/translate/translator.js')])
  const targets = openTargets(runtime, config, descope, logger)
  const secrets = sessionSecrets(config, logger)
  const gateway = createGateway({
    targets,
    sessions: createSessions({ secrets, clock, resource: () => resource }),
    secrets,
    maxNameLength: config.names.maxLength,
    reopenSessions: false,
    bindsAlone: true,
    offersStreams: config.server.vercel === undefined,
    clock,
    logger,
    timeouts: { list: config.timeouts.list * 1000, answer: config.timeouts.answer * 1000 },
  })
  const metrics =
    config.server.metricsPort === undefined
      ? undefined
      : await createMetrics(() => streams.size, targets)
  const { vercel } = config.server
  const app = createApp({
    config,
    resource,
    gateway,
    descope,
    clock,
    logger,
    metrics,
    streams,
    offers: runtime.offers,
    allowStreams: vercel === undefined,
    extraHosts: vercel?.hosts ?? [],
  })
  return {
    app,
    metrics,
    async close() {
      descope?.stop()
      await gateway.close()
    },
  }
}

/**
 * Waits until no request runs any more, at most `limitMs`. Connections that never sent a request,
 * as browsers and load balancers open them, are not waited for.
 */
async function drained(
  running: () => number,
  clock: Runtime['clock'],
  limitMs: number,
): Promise<void> {
  const end = clock.now() + limitMs
  while (running() > 0 && clock.now() < end) {
    await new Promise<void>((resolve) => {
      clock.after(DRAIN_POLL_MS, resolve)
    })
  }
}
