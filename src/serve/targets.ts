import { randomUUID } from 'node:crypto'
import { createCredential } from '../auth/credentials/create.js'
import type { TargetCredential } from '../auth/credentials/credential.js'
import { createRelationCheck, type RelationCheck } from '../auth/descope/relations.js'
import type { Descope } from '../auth/resource-server.js'
import { ConfigError } from '../config/load.js'
import type { ProxyConfig, TargetConfig } from '../config/types.js'
import { createBreaker } from '../gateway/breaker.js'
import { createStandIn } from '../gateway/connecting/stand-in.js'
import { type CompiledRules, compileRules } from '../gateway/rules/compile.js'
import { createTarget, ownerCredential, type Target, type TargetState } from '../gateway/target.js'
import { createDetectingUpstream, createTranslatingUpstream } from '../upstream/detection.js'
import { createCookieJar } from '../upstream/http/cookie-jar.js'
import { createHttpUpstream } from '../upstream/http/http-client.js'
import { plainAnswers } from '../upstream/http/plain-answers.js'
import {
  createSseUpstream,
  type SseUpstream,
  type SseUpstreamOptions,
} from '../upstream/sse/sse-upstream.js'
import type { ChildBudget } from '../upstream/stdio/process-pool.js'
import { createProgramUpstream, type ProgramHost } from '../upstream/stdio/stdio-upstream.js'
import { KEEP_ALIVE_MS, type Upstream } from '../upstream/upstream.js'
import type { Keeper } from '../util/keeper.js'
import type { Logger } from '../util/logger.js'
import type { MemoryBudget } from '../util/memory-budget.js'
import type { Runtime } from '../util/runtime.js'
import type { Identities } from './identities.js'

export type TargetsRuntime = Pick<Runtime, 'fetch'> & ProgramHost

/**
 * Compiles the rules of all targets.
 *
 * @throws {ConfigError} With everything that is wrong with them.
 */
export async function readRules(
  { targets }: Pick<ProxyConfig, 'targets'>,
  clock: Runtime['clock'],
  logger?: Logger,
): Promise<ReadonlyMap<string, CompiledRules>> {
  const { rules, problems } = await compileRules(targets, { clock, ...(logger && { logger }) })
  if (problems.length > 0) throw new ConfigError(problems)
  return rules
}

/** What all targets share, under whatever settings. */
export interface TargetsShare {
  /** Seconds. */
  readonly timeouts: { readonly start: number; readonly idle: number }
  readonly budget: ChildBudget
  readonly memory: MemoryBudget
}

export interface OpenTargetsOptions {
  runtime: TargetsRuntime
  share: TargetsShare
  descopeFor: (target: TargetConfig) => Descope | undefined
  identities: Identities
  keeper: Keeper
  logger: Logger
  /** For checks of relations (FGA). */
  managementKey: string | undefined
  rules: ReadonlyMap<string, CompiledRules>
}

/** A target, and what it is to be once its settings are in force. */
export interface OpenTarget {
  readonly target: Target
  readonly settings: Target
}

/** How the slots of connections to targets begin. */
export const UPSTREAM = 'upstream '

/** Opens all configured targets. Nothing is connected or started yet. */
export function openTargets(
  targets: readonly TargetConfig[],
  options: OpenTargetsOptions,
): OpenTarget[] {
  const { runtime, share, descopeFor, identities, keeper, logger, managementKey } = options
  const onChange = (target: Target, before: TargetState) => tellRecovery(logger, target, before)
  const checkAt = (config: TargetConfig): RelationCheck | undefined => {
    const project = descopeFor(config)?.project
    if (config.tools.fga === undefined || project === undefined || managementKey === undefined) {
      return undefined
    }
    const make = () => createRelationCheck(runtime, project, managementKey)
    return keeper.keep(`relations ${project.issuer}`, [project, managementKey], make)
  }
  return targets.map((config) => {
    const checkRelation = checkAt(config)
    const { name, program } = config
    const credential = keepCredential(options, config, descopeFor(config), '')
    const { clock } = runtime
    const standIn =
      program === undefined
        ? keeper.keep(`stand-in ${name}`, [credential], () =>
            createStandIn({ clock, logger, target: name, credential }),
          )
        : undefined
    const { upstream, url } = keeper.keep(
      `${UPSTREAM}${name}`,
      [JSON.stringify([config.url, config.transport, program, identities.signedHeader(config)])],
      () => openUpstream(config, options),
    )
    const key = keeper.keep(`key ${name}`, [upstream, credential], () => `${name} ${randomUUID()}`)
    const more = {
      onChange,
      memory: share.memory,
      standIn,
      key,
      checkRelation,
      ...options.rules.get(name),
      ...(url && { url }),
    }
    const breaker = keeper.keep(
      `breaker ${name}`,
      [upstream, JSON.stringify(config.breaker)],
      () => config.breaker && createBreaker(config.breaker, clock),
    )
    const settings = createTarget(config, credential, upstream, { ...more, breaker })
    return { target: keeper.keep(`target ${name}`, [upstream], () => settings), settings }
  })
}

interface OpenUpstream {
  readonly upstream: Upstream
  /** Where cookies are kept with sessions. */
  readonly url?: URL
}

/** Opens the way to a target. */
function openUpstream(
  config: TargetConfig,
  { runtime, share, identities, logger }: OpenTargetsOptions,
): OpenUpstream {
  const { name, program, url } = config
  const { timeouts, budget, memory } = share
  if (program !== undefined) {
    const host = { timeouts, budget, memory, logger }
    return { upstream: createProgramUpstream(runtime, name, program, host) }
  }
  const place = new URL(url ?? '')
  const { clock } = runtime
  const onFault = (error: unknown) => {
    const text = error instanceof Error ? error.stack : String(error)
    logger.error('internal', `An answer of target "${name}" could not be handled: ${text}`)
  }
  const client = createHttpUpstream(place, { clock, idleMs: KEEP_ALIVE_MS })
  const connections = plainAnswers(client, place, onFault)
  const sse = () =>
    openSse(connections, { clock, url: place, memory, idleMs: timeouts.idle * 1_000 })
  if (config.transport === 'sse') return { upstream: sse() }
  const http = createTranslatingUpstream(connections, {
    ...{ clock, logger, target: name },
    protocol: 'auto',
    identityHeader: identities.signedHeader(config),
    mirrorsParams: false,
    memory,
  })
  if (config.transport === 'http') return { upstream: http, url: place }
  const upstream = createDetectingUpstream({
    http,
    openSse: async () => sse(),
    onChoice: (transport) => logger.debug('transport', `Target "${name}" speaks ${transport}`),
  })
  return { upstream, url: place }
}

/** Keeps what the credential of a target holds while nothing changes that it is made of. */
export function keepCredential(
  { runtime, identities, keeper }: OpenTargetsOptions,
  config: TargetConfig,
  descope: Descope | undefined,
  endpoint: string,
): TargetCredential {
  const { name, url, program, credential, identity } = config
  const madeOf = JSON.stringify([url, program === undefined, credential, identity])
  return keeper.keep(
    `credential ${endpoint} ${name}`,
    [madeOf, descope?.project, identities.signer],
    () => openCredential(runtime, config, descope, identities),
  )
}

/** Opens the credential of a target for callers who signed in at one endpoint; no other shares it. */
function openCredential(
  runtime: TargetsRuntime,
  config: TargetConfig,
  descope: Descope | undefined,
  identities?: Pick<Identities, 'addTo'>,
): TargetCredential {
  const { program, url, credential } = config
  const own =
    program === undefined
      ? createCredential(credential, { runtime, targetUrl: url ?? '', descope })
      : ownerCredential()
  return identities?.addTo(own, config) ?? own
}

/**
 * Returns a target as it stands alone at an endpoint: its names without a prefix, the credential of that
 * endpoint, and the connections and the state that it has everywhere.
 *
 * @param settings Those that are to be in force.
 */
export function standAlone(target: Target, settings: Target, credential: TargetCredential): Target {
  return {
    ...settings,
    use: target.use,
    prefix: '',
    credential,
    knownTools: settings.knownTools?.anew(),
    get state() {
      return target.state
    },
    set state(state) {
      target.state = state
    },
  }
}

/** Logs each failure of a target, and once that it works again. */
function tellRecovery(logger: Logger, { name, state, breaker }: Target, before: TargetState): void {
  if (state === 'down' && breaker?.isOpen()) {
    const text = `Target "${name}" was not reached several times in a row: requests to it fail at once; now and then one is let through as a test`
    return logger.warn('target_held_back', text, { target: name })
  }
  if (state !== 'ok' || before === 'unknown') return
  const text =
    before === 'down' ? `Target "${name}" is back` : `Target "${name}" takes its credential again`
  logger.info('target_back', text, { target: name })
}

/** The streams of a target, and what is posted to their endpoints, share its connections. */
function openSse(
  http: Upstream,
  options: Pick<SseUpstreamOptions, 'url' | 'memory' | 'idleMs'> & { clock: Runtime['clock'] },
): SseUpstream {
  const { clock, url } = options
  const connect = async (to: URL): Promise<Upstream> => {
    if (to === url) return http
    const path = to.pathname + to.search
    return {
      send: (request, handler) => http.send({ ...request, path }, handler),
      close: async () => {},
    }
  }
  return createSseUpstream({ ...options, connect, newJar: () => createCookieJar(clock) })
}
