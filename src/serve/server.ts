import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Descope } from '../auth/resource-server.js'
import {
  type EndpointConfig,
  endpointsOf,
  frontUrlOf,
  mainUrlOf,
  mcpUrlOf,
} from '../config/endpoints.js'
import type { ProxyConfig } from '../config/types.js'
import { createGateway } from '../gateway/gateway.js'
import { createSessions } from '../gateway/sessions/sealed-sessions.js'
import type { Logger } from '../util/logger.js'
import { createMemoryBudget } from '../util/memory-budget.js'
import { Roster } from '../util/roster.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import { type App, type AppOptions, createApp } from './app.js'
import { type AuditRuntime, openAudit } from './audit.js'
import {
  createDescopes,
  descopeFinder,
  type Endpoint,
  targetsOf,
  worstKeysState,
} from './endpoints.js'
import type { HttpReply } from './http-reply.js'
import { createHttpServer, listen, listenUrl } from './http-server.js'
import { createIdentities } from './identities.js'
import type { MakeOffers } from './landing-page.js'
import { openLimitStore } from './limit-store.js'
import { createCaps } from './limits.js'
import { createMetrics, type Metrics } from './metrics.js'
import { sessionSecrets } from './session-secrets.js'
import { openTargets, readRules, type TargetsRuntime } from './targets.js'
import { createTracer } from './tracing.js'

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
  /**
   * Finishes running requests, at most `timeouts.drain` seconds, and closes everything. Until then
   * new ones are told that they come too late, unless others listen on the same port.
   */
  close(how?: { stopListening: boolean }): Promise<void>
}

/** What a server needs of the program around it. */
interface ServerRuntime extends TargetsRuntime, AuditRuntime {
  /** Without them the landing page names the URL only. */
  offers?: MakeOffers
  /** For `mcp_proxy_build_info`. */
  nodeVersion?: string
  configFile?: string | undefined
  onFinished?: AppOptions['onFinished']
  /** See {@link createApp}. */
  replays?: AppOptions['replays']
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
  const streams = new Roster<HttpReply>()
  const assembling = assemble(runtime, config, logger, port, streams)
  assembled = assembling
  const parts = await assembling.catch(async (error: unknown) => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    throw error
  })
  app = parts.app
  server.off('request', wait).on('request', app.handle)
  return {
    resource: mainUrlOf(config, port),
    url: mainListenUrl(config, port),
    port,
    metrics: parts.metrics,
    reopen: () => parts.audit?.trail.reopen(),
    requests: parts.app.requests,
    async close(how) {
      const end = clock.now() + config.timeouts.drain * 1000
      parts.app.drain()
      if (how?.stopListening) server.close()
      await drained(parts.app.running, clock, end)
      parts.app.stop()
      server.closeAllConnections()
      await Promise.all([new Promise((resolve) => server.close(resolve)), parts.close()])
      await parts.audit?.trail.close(end - clock.now())
    },
  }
}

/** Joins Descope, the targets and the request handler. */
export async function assemble(
  runtime: ServerRuntime,
  config: ProxyConfig,
  logger: Logger,
  port: number,
  streams: Roster<HttpReply>,
) {
  const { clock } = runtime
  let metrics: Metrics | undefined
  const audit = openAudit(runtime, config, logger, (...counted) => metrics?.audit(...counted))
  const places = endpointsOf(config, port)
  const merged = mcpUrlOf(config.server, port)
  const identities = createIdentities(config, merged, clock, logger)
  const { jwks } = identities
  const rules = await readRules(config, clock, logger)
  const keptClaims = rules.size > 0 ? 'all' : identities.keptClaims
  const descopes = config.server.insecureNoAuth
    ? new Map<EndpointConfig, Descope>()
    : createDescopes({ runtime, config, endpoints: places, keptClaims, logger })
  // loaded now, so that the first older client of a newer server does not wait for it
  await Promise.all([
    ...[...descopes.values()].map((descope) => descope.start()),
    import('../upstream/translate/translator.js'),
  ])
  const memory = createMemoryBudget(config.limits.bufferedBytes)
  const descopeOf = descopeFinder(descopes)
  const targets = openTargets(runtime, config, descopeOf, logger, memory, identities, rules)
  const secrets = sessionSecrets(config, logger)
  const endpoints = places.map((place): Endpoint => {
    const { target, path, url: resource } = place
    const descope = descopes.get(place)
    const gateway = createGateway({
      targets: targetsOf(runtime, targets, place, descope, identities),
      sessions: createSessions({ secrets, clock, resource: () => resource }),
      // what one endpoint issues is worth nothing at another one
      secrets: target === undefined ? secrets : secrets.map((secret) => `${secret} ${resource}`),
      maxNameLength: config.names.maxLength,
      reopenSessions: false,
      bindsAlone: true,
      offersStreams: config.server.vercel === undefined,
      clock,
      logger,
      timeouts: { list: config.timeouts.list * 1000, answer: config.timeouts.answer * 1000 },
    })
    return { target: target?.name, path, resource, gateway, descope }
  })
  const caps = createCaps(config.limits)
  const limitStore = await openLimitStore(config, clock, logger)
  metrics =
    config.server.metricsPort === undefined
      ? undefined
      : await createMetrics({
          openStreams: () => streams.size,
          targets,
          keysState: descopes.size > 0 ? () => worstKeysState(endpoints) : undefined,
          ...{ caps, limitStore },
          build: {
            version: VERSION,
            node: runtime.nodeVersion ?? '',
            config: runtime.configFile ?? '',
            url: mainUrlOf(config, port),
          },
        })
  const tracer = await createTracer(runtime.env ?? {}, clock, logger)
  const { vercel } = config.server
  const app = createApp({
    ...{
      config,
      endpoints,
      targets,
      jwks,
      clock,
      logger,
      metrics,
      audit,
      memory,
      tracer,
      streams,
      caps,
    },
    frontUrl: frontUrlOf(config.server, port),
    limitStore,
    isOnLoopback: runtime.isOnLoopback,
    onFinished: runtime.onFinished,
    replays: runtime.replays,
    offers: runtime.offers,
    allowStreams: vercel === undefined,
    extraHosts: vercel?.hosts ?? [],
  })
  return {
    app,
    metrics,
    audit,
    async close() {
      for (const descope of descopes.values()) descope.stop()
      limitStore?.close()
      await Promise.all([tracer?.stop(), ...targets.map(({ upstream }) => upstream.close())])
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
  port: number,
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
  const text = `Listening on ${at}, targets: ${targets.join(', ')}${places}`
  const endpoints = own.length === 0 ? undefined : own.map((it) => it.url)
  logger.info('listening', text, { url, resource, targets, endpoints, ...runs })
}

/** Where the only endpoint, or that of all targets, listens; else where the front page does. */
function mainListenUrl(config: ProxyConfig, port: number): string {
  const [first, ...others] = endpointsOf(config, port)
  const isMain = first !== undefined && (first.target === undefined || others.length === 0)
  return listenUrl({ host: config.server.host, port }, isMain ? first.path : '/')
}
