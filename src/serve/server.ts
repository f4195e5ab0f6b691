import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createCredential } from '../auth/credentials/create.js'
import { createDescope } from '../auth/service.js'
import { mcpUrlOf } from '../config/public-url.js'
import type { ProxyConfig } from '../config/types.js'
import { createGateway } from '../gateway/gateway.js'
import { createSessions } from '../gateway/sessions.js'
import { createTarget } from '../gateway/target.js'
import { createUpstream } from '../http/pool.js'
import { ProxyError } from '../util/errors.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { type App, createApp } from './app.js'
import type { HttpReply } from './http-reply.js'
import { createMetrics, type Metrics } from './metrics.js'
import { sessionSecrets } from './session-secrets.js'

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

type ServerRuntime = Pick<Runtime, 'fetch' | 'clock'>

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
  let app: App | undefined
  let assembled: Promise<{ app: App }> | undefined
  // the port is known only after listening; whoever comes before all is ready waits that long
  server.on('request', (request, response) => {
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
    url: `http://${host.includes(':') ? `[${host.replace(/[[\]]/g, '')}]` : host}:${port}${path}`,
    port,
    metrics: parts.metrics,
    async close() {
      parts.app.drain()
      await drained(server, clock, config.timeouts.drain * 1000)
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
  await descope?.start()
  const targets = config.targets.map((target) =>
    createTarget(
      target,
      createCredential(target.credential, { runtime, targetUrl: target.url, descope }),
      createUpstream(new URL(target.url)),
    ),
  )
  const secrets = sessionSecrets(config, logger)
  const gateway = createGateway({
    targets,
    sessions: createSessions({ secrets, clock, resource: () => resource }),
    secret: secrets[0],
    maxNameLength: config.names.maxLength,
    reopenSessions: false,
    clock,
    logger,
    timeouts: { list: config.timeouts.list * 1000, answer: config.timeouts.answer * 1000 },
  })
  const metrics =
    config.server.metricsPort === undefined ? undefined : await createMetrics(() => streams.size)
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

/** Waits until no request runs any more, at most `limitMs`. */
async function drained(server: Server, clock: Runtime['clock'], limitMs: number): Promise<void> {
  const end = clock.now() + limitMs
  for (;;) {
    server.closeIdleConnections()
    const count = await new Promise<number>((resolve) =>
      server.getConnections((_error, connections) => resolve(connections ?? 0)),
    )
    if (count === 0 || clock.now() >= end) return
    await new Promise<void>((resolve) => {
      clock.after(DRAIN_POLL_MS, resolve)
    })
  }
}

function listen(server: Server, { host, port }: ProxyConfig['server']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(listenError(error, host, port))
    })
    server.listen({ host: host.replace(/[[\]]/g, ''), port }, () => resolve())
  })
}

function listenError({ code }: NodeJS.ErrnoException, host: string, port: number): ProxyError {
  const reasons: Record<string, [string, string]> = {
    EADDRINUSE: ['another program listens there', 'Stop it, or choose another port with `--port`.'],
    EACCES: ['this user may not', 'Choose a port above 1023 with `--port`.'],
    EADDRNOTAVAIL: ['this machine has no such address', 'Set `--host` to 127.0.0.1 or 0.0.0.0.'],
    ENOTFOUND: ['the host name does not exist', 'Set `--host` to 127.0.0.1 or 0.0.0.0.'],
  }
  const [reason, hint] = reasons[code ?? ''] ?? [code ?? 'unknown', 'Check `--host` and `--port`.']
  return new ProxyError('LISTEN_FAILED', `Cannot listen on ${host}:${port}: ${reason}`, { hint })
}
