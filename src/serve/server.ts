import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createDescope } from '../auth/resource-server.js'
import { mcpUrlOf, publicUrlOf } from '../config/public-url.js'
import type { ProxyConfig } from '../config/types.js'
import { createGateway } from '../gateway/gateway.js'
import { createSessions } from '../gateway/sessions/sealed-sessions.js'
import type { Logger } from '../util/logger.js'
import { createMemoryBudget } from '../util/memory-budget.js'
import { Roster } from '../util/roster.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import { type App, type AppOptions, createApp } from './app.js'
import { createCaps } from './caps.js'
import type { HttpReply } from './http-reply.js'
import { createHttpServer, listen, listenUrl } from './http-server.js'
import { createIdentities } from './identities.js'
import type { MakeOffers } from './landing-page.js'
import { createMetrics, type Metrics } from './metrics.js'
import { policyScopes } from './policy-scopes.js'
import { openTargets, type TargetsRuntime } from './targets.js'

const DRAIN_POLL_MS = 50

export interface RunningServer {
  /** The public MCP URL. */
  readonly resource: string
  /** Where the endpoint listens. */
  readonly url: string
  readonly port: number
  readonly metrics: Metrics | undefined
  /** How many requests came to the endpoint so far, refused ones too. */
  requests(): number
  /**
   * Finishes running requests, at most `timeouts.drain` seconds, and closes everything. Until then
   * new ones are told that they come too late, unless others listen on the same port.
   */
  close(how?: { stopListening: boolean }): Promise<void>
}

/** What a server needs of the program around it. */
interface ServerRuntime extends TargetsRuntime {
  /** Without them the landing page names the URL only. */
  offers?: MakeOffers
  /** For `mcp_proxy_build_info`. */
  nodeVersion?: string
  configFile?: string | undefined
  /** See {@link createApp}. */
  isOnLoopback?: AppOptions['isOnLoopback']
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
  const server = createHttpServer(config, (broken) => app?.broken(broken))
  let app: App | undefined
  let assembled: Promise<{ app: App }> | undefined
  // the port is known only after listening; requests that come earlier wait until all is ready
  const wait = (request: IncomingMessage, response: ServerResponse) =>
    assembled?.then(
      (ready) => ready.app.handle(request, response),
      () => response.destroy(),
    )
  server.on('request', wait)
  await listen(server, config.server)
  const { port } = server.address() as AddressInfo
  const resource = mcpUrlOf(config.server, port)
  const streams = new Roster<HttpReply>()
  const assembling = assemble(runtime, config, logger, resource, streams)
  assembled = assembling
  const parts = await assembling.catch(async (error: unknown) => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    throw error
  })
  app = parts.app
  server.off('request', wait).on('request', app.handle)
  const { host, path } = config.server
  return {
    resource,
    url: listenUrl({ host, port }, path),
    port,
    metrics: parts.metrics,
    requests: parts.app.requests,
    async close(how) {
      parts.app.drain()
      if (how?.stopListening) server.close()
      await drained(parts.app.running, clock, config.timeouts.drain * 1000)
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
  streams: Roster<HttpReply>,
) {
  const { clock } = runtime
  const identities = createIdentities(config, resource, clock, logger)
  const { keptClaims, jwks } = identities
  const descope = config.server.insecureNoAuth
    ? undefined
    : createDescope({
        ...{ runtime, config: config.descope, resource, logger, keptClaims },
        publicUrl: publicUrlOf(config.server, config.server.port),
        policyScopes: policyScopes(config.targets),
      })
  // loaded now, so that the first older client of a newer server does not wait for it
  await Promise.all([descope?.start(), import('../upstream/translate/translator.js')])
  const memory = createMemoryBudget(config.limits.bufferedBytes)
  const targets = openTargets(runtime, config, descope, logger, memory, identities)
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
  const caps = createCaps(config.limits)
  const metrics =
    config.server.metricsPort === undefined
      ? undefined
      : await createMetrics({
          openStreams: () => streams.size,
          targets,
          keysState: descope?.keysState,
          caps,
          build: {
            version: VERSION,
            node: runtime.nodeVersion ?? '',
            config: runtime.configFile ?? '',
            url: resource,
          },
        })
  const { vercel } = config.server
  const app = createApp({
    config,
    resource,
    gateway,
    descope,
    jwks,
    clock,
    logger,
    metrics,
    memory,
    streams,
    caps,
    isOnLoopback: runtime.isOnLoopback,
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

/**
 * Returns the secrets that seal sessions, the first one for new ones. A single process makes its
 * own when none is configured; on Vercel, where every request may meet a new process, there are
 * none, and a target that needs sessions gets one for each request.
 */
export function sessionSecrets(
  { session, server }: Pick<ProxyConfig, 'session' | 'server'>,
  logger: Logger,
): string[] {
  if (session.secret !== undefined) return [session.secret, ...session.previousSecrets]
  if (server.vercel !== undefined) {
    logger.warn(
      'no_session_secret',
      'SESSION_SECRET is not set: targets with sessions get a new one for each request; tasks, states of calls that wait for input and requests of targets are not handed out, since they cannot be kept from other users',
    )
    return []
  }
  logger.warn(
    'no_session_secret',
    'SESSION_SECRET is not set: sessions and tasks end when this process does, and no other can serve them',
  )
  return [randomBytes(32).toString('hex')]
}

/** What runs here, for readers of the log. */
interface Identification {
  readonly version: string
  readonly node: string
  readonly config: string | undefined
}

/** The first line: what starts, with which configuration, and under which URL. */
export function announceStart(runs: Identification, { server }: ProxyConfig, logger: Logger): void {
  const isKnown = server.publicUrl !== undefined || server.port !== 0
  const resource = isKnown ? mcpUrlOf(server, server.port) : undefined
  const { version, node, config } = runs
  const file = config === undefined ? 'no configuration file' : `configuration file ${config}`
  const url = resource ?? 'a free port of this machine'
  const text = `${PRODUCT} ${version} on Node ${node}, ${file}, for ${url}`
  logger.info('starting', text, { ...runs, resource })
}

/** Connections are accepted. Without a configured public URL, one name is used everywhere. */
export function announceListening(
  runs: Identification,
  { server, targets: configured }: ProxyConfig,
  port: number,
  logger: Logger,
): void {
  const { host, path, publicUrl } = server
  const resource = mcpUrlOf(server, port)
  const url = publicUrl === undefined ? resource : listenUrl({ host, port }, path)
  const targets = configured.map(({ name }) => name)
  const at = publicUrl === undefined ? url : `${url} for ${resource}`
  const text = `Listening on ${at}, targets: ${targets.join(', ')}`
  logger.info('listening', text, { url, resource, targets, ...runs })
}
