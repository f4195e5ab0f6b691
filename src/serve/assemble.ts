import type { DescopeConnection } from '../auth/descope/connection.js'
import type { Descope } from '../auth/resource-server.js'
import {
  type EndpointConfig,
  endpointsOf,
  frontUrlOf,
  mainUrlOf,
  mcpUrlOf,
} from '../config/endpoints.js'
import type { ProxyConfig } from '../config/types.js'
import { createGateway, type LastingGateway } from '../gateway/gateway.js'
import { createLasting } from '../gateway/lasting.js'
import { createSessions } from '../gateway/sessions/sealed-sessions.js'
import { renewTarget, type Target } from '../gateway/target.js'
import { createKeeper, type Keeper } from '../util/keeper.js'
import type { Logger } from '../util/logger.js'
import type { Roster } from '../util/roster.js'
import { VERSION } from '../util/version.js'
import { type App, type AppOptions, createApp } from './app.js'
import { type Audit, type AuditRuntime, openAudit } from './audit.js'
import {
  CONNECTION,
  createDescopes,
  descopeFinder,
  type Endpoint,
  targetsOf,
  worstKeysState,
} from './endpoints.js'
import type { HttpReply } from './http-reply.js'
import { createIdentities } from './identities.js'
import type { MakeOffers } from './landing-page.js'
import { openLimitStore } from './limit-store.js'
import { createMetrics, type Metrics } from './metrics.js'
import { changedLists } from './reload/changes.js'
import { dropNew, type Prepared, startNew } from './reload/newcomers.js'
import { createRetirement } from './reload/retirement.js'
import { createServerShare } from './reload/server-share.js'
import { createSecrets } from './session-secrets.js'
import { openTargets, readRules, type TargetsRuntime, UPSTREAM } from './targets.js'
import { createTracer } from './tracing.js'

/** What a server needs of the program around it. */
export interface ServerRuntime extends TargetsRuntime, AuditRuntime {
  /** Without them the landing page names the URL only. */
  offers?: MakeOffers
  /** For `mcp_proxy_build_info`. */
  nodeVersion?: string
  configFile?: string | undefined
  onFinished?: AppOptions['onFinished']
  replays?: AppOptions['replays']
  /** See {@link createApp}. */
  isOnLoopback?: AppOptions['isOnLoopback']
}

/** One configuration in force. */
interface Composition {
  readonly config: ProxyConfig
  readonly app: App
  readonly gateways: readonly LastingGateway[]
  readonly endpoints: readonly Endpoint[]
  readonly targets: readonly Target[]
  readonly keeper: Keeper
}

export interface Assembled {
  /** That of the configuration in force. */
  readonly live: { readonly app: App }
  readonly metrics: Metrics | undefined
  readonly audit: Audit | undefined
  /** Those in force, seconds. */
  readonly timeouts: ProxyConfig['timeouts']
  readonly counts: { readonly requests: number; readonly running: number }
  /**
   * Prepares another configuration. What it does not change is kept as it is, with all that it knows.
   *
   * @param changed The paths of settings with other values.
   * @throws {ProxyError} When it cannot be put in force; then nothing has changed.
   */
  prepare(config: ProxyConfig, changed: readonly string[]): Promise<Prepared>
  close(): Promise<void>
}

/** Joins Descope, the targets and the request handler. */
export async function assemble(
  runtime: ServerRuntime,
  config: ProxyConfig,
  logger: Logger,
  port: number,
  streams: Roster<HttpReply>,
): Promise<Assembled> {
  const { clock } = runtime
  const share = createServerShare(config, clock, runtime.replays)
  const { timeouts, memory, caps, counts, replays } = share
  const limitStore = await openLimitStore(share, clock, logger)
  const retirement = createRetirement(clock)
  const secretsOf = createSecrets(logger)
  const tracer = await createTracer(runtime.env ?? {}, clock, logger)
  let metrics: Metrics | undefined
  const audit = openAudit(runtime, config, logger, (...counted) => metrics?.audit(...counted))
  let current: Composition | undefined
  const live = {} as { app: App }

  async function prepare(next: ProxyConfig, changed: readonly string[]): Promise<Prepared> {
    const keeper = current?.keeper.next() ?? createKeeper()
    const places = endpointsOf(next, port)
    const identities = createIdentities(next, mcpUrlOf(next.server, port), clock, logger, keeper)
    const rules = await readRules(next, clock, logger)
    const keptClaims = rules.size > 0 ? 'all' : identities.keptClaims
    const descopes = next.server.insecureNoAuth
      ? new Map<EndpointConfig, Descope>()
      : createDescopes({ runtime, config: next, endpoints: places, keptClaims, logger, keeper })
    const drop = () => dropNew(keeper)
    try {
      await startNew(descopes, keeper, current !== undefined)
      const { managementKey } = next.descope
      const options = { runtime, share, identities, keeper, logger, managementKey, rules }
      const own = { ...options, descopeFor: descopeFinder(descopes) }
      const targets = openTargets(next.targets, own)
      const behind = places.map((place) => targetsOf(own, targets, place, descopes.get(place)))
      const commit = () => {
        for (const { target, settings } of [...targets, ...behind.flat()]) {
          if (target !== settings) renewTarget(target, settings)
        }
        share.renew(next)
        const all = targets.map(({ target }) => target)
        const built = places.map((place, index) => {
          const ownTargets = behind[index]?.map(({ target }) => target) ?? []
          return createEndpointOf(next, place, ownTargets, descopes.get(place), keeper)
        })
        const app = createAppOf(next, built, all, identities.jwks)
        replace({ config: next, app, ...split(built), targets: all, keeper }, changed)
      }
      return { commit, drop }
    } catch (error) {
      drop()
      throw error
    }
  }

  function createEndpointOf(
    next: ProxyConfig,
    { target, path, url: resource }: EndpointConfig,
    targets: readonly Target[],
    descope: Descope | undefined,
    keeper: Keeper,
  ): Built {
    const secrets = secretsOf(next)
    const sessions = keeper.keep(`sessions ${resource}`, [], () =>
      createSessions({ secrets, clock, resource: () => resource }),
    )
    if (keeper.isKept(`sessions ${resource}`)) {
      sessions.useSecrets(secrets)
      for (const [slot] of keeper.gone()) {
        if (slot.startsWith(UPSTREAM)) sessions.moveTarget(slot.slice(UPSTREAM.length))
      }
    }
    const lasting = keeper.keep(`gateway ${resource}`, [], () =>
      createLasting({ clock, logger, timeouts: share.ofGateway }),
    )
    const gateway = createGateway({
      targets,
      sessions,
      lasting,
      // what one endpoint issues is worth nothing at another one
      secrets: target === undefined ? secrets : secrets.map((secret) => `${secret} ${resource}`),
      maxNameLength: next.names.maxLength,
      reopenSessions: false,
      bindsAlone: true,
      offersStreams: next.server.vercel === undefined,
      clock,
      logger,
      timeouts: share.ofGateway,
    })
    return { gateway, endpoint: { target: target?.name, path, resource, gateway, descope } }
  }

  function createAppOf(
    next: ProxyConfig,
    built: readonly Built[],
    targets: readonly Target[],
    jwks: AppOptions['jwks'],
  ): App {
    const { vercel } = next.server
    return createApp({
      config: next,
      endpoints: built.map(({ endpoint }) => endpoint),
      targets,
      frontUrl: frontUrlOf(next.server, port),
      ...{
        jwks,
        clock,
        logger,
        metrics,
        audit,
        memory,
        tracer,
        streams,
        caps,
        limitStore,
        counts,
      },
      rateLimit: limitStore?.known ?? share.rateLimit,
      isOnLoopback: runtime.isOnLoopback,
      onFinished: runtime.onFinished,
      replays,
      offers: runtime.offers,
      allowStreams: vercel === undefined,
      extraHosts: vercel?.hosts ?? [],
    })
  }

  function replace(next: Composition, changed: readonly string[]): void {
    const before = current
    current = next
    live.app = next.app
    if (before === undefined) return
    before.app.stop()
    takeOver(next, changed)
    // streams whose target had not answered yet
    clock.after(1_000, () => {
      if (current === next) takeOver(next, [])
    })
    const gone = next.keeper.gone()
    for (const [slot, value] of gone) {
      if (slot.startsWith(CONNECTION)) (value as DescopeConnection).stop()
    }
    const isGone = ({ name }: Target) => gone.some(([slot]) => slot === UPSTREAM + name)
    retirement.add(before.app, before.targets.filter(isGone))
  }

  /** Streams stay open: whoever listens hears of what changed. Those of endpoints that are gone end. */
  function takeOver({ gateways }: Composition, changed: readonly string[]): void {
    const lists = changedLists(changed)
    streams.each((reply) => {
      const { stays } = reply
      if (stays === undefined) return
      const gateway = gateways.find(({ lasting }) => lasting === stays.lasting)
      if (gateway === undefined) reply.finish()
      else gateway.takeOver(stays, lists)
    })
  }

  const [first] = await Promise.all([
    prepare(config, []),
    // loaded now, so that the first older client of a newer server does not wait for it
    import('../upstream/translate/translator.js'),
  ])
  const { metricsPort, insecureNoAuth: isOpen } = config.server
  if (metricsPort !== undefined) {
    metrics = await createMetrics({
      startedAt: clock.now(),
      openStreams: () => streams.size,
      get targets() {
        return current?.targets ?? []
      },
      keysState: isOpen ? undefined : () => worstKeysState(current?.endpoints ?? []),
      ...{ caps, limitStore },
      get build() {
        return buildInfo(runtime, mainUrlOf(current?.config ?? config, port))
      },
    })
  }
  first.commit()
  return {
    live,
    audit,
    metrics,
    timeouts,
    counts,
    prepare,
    async close() {
      const { endpoints = [], targets = [] } = current ?? {}
      for (const { descope } of endpoints) descope?.stop()
      limitStore?.close()
      await Promise.all([
        tracer?.stop(),
        ...targets.map(({ upstream }) => upstream.close()),
        ...retirement.closeAll(),
      ])
    },
  }
}

function buildInfo({ nodeVersion = '', configFile = '' }: ServerRuntime, url: string) {
  return { version: VERSION, node: nodeVersion, config: configFile, url }
}

interface Built {
  readonly endpoint: Endpoint
  readonly gateway: LastingGateway
}

function split(built: readonly Built[]): Pick<Composition, 'endpoints' | 'gateways'> {
  return {
    endpoints: built.map(({ endpoint }) => endpoint),
    gateways: built.map(({ gateway }) => gateway),
  }
}
