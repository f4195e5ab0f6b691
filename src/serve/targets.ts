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
import { createProgramUpstream, type ProgramHost } from '../upstream/stdio/stdio-upstream.js'
import { KEEP_ALIVE_MS, type Upstream } from '../upstream/upstream.js'
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

/** Opens all configured targets. Nothing is connected or started yet. */
export function openTargets(
  runtime: TargetsRuntime,
  {
    targets,
    timeouts,
    limits,
    descope: { managementKey },
  }: Pick<ProxyConfig, 'targets' | 'timeouts' | 'limits' | 'descope'>,
  descopeFor: (target: TargetConfig) => Descope | undefined,
  logger: Logger,
  memory?: MemoryBudget,
  identities?: Pick<Identities, 'addTo' | 'signedHeader'>,
  rules: ReadonlyMap<string, CompiledRules> = new Map(),
): Target[] {
  const credentialAt = (config: TargetConfig) =>
    openCredential(runtime, config, descopeFor(config), identities)
  const budget = { max: limits.children, used: 0 }
  const onChange = (target: Target, before: TargetState) => tellRecovery(logger, target, before)
  const checks = new Map<Descope, RelationCheck>()
  const checkAt = (config: TargetConfig): RelationCheck | undefined => {
    const descope = descopeFor(config)
    if (config.tools.fga === undefined || descope === undefined || managementKey === undefined) {
      return undefined
    }
    const check =
      checks.get(descope) ?? createRelationCheck(runtime, descope.project, managementKey)
    checks.set(descope, check)
    return check
  }
  return targets.map((config) => {
    const checkRelation = checkAt(config)
    const { name, program, url } = config
    const breaker = config.breaker && createBreaker(config.breaker, runtime.clock)
    const shared = { onChange, memory, breaker, checkRelation, ...rules.get(name) }
    if (program !== undefined) {
      const upstream = createProgramUpstream(runtime, name, program, {
        ...{ timeouts, budget, memory, logger },
      })
      return createTarget(config, credentialAt(config), upstream, shared)
    }
    const credential = credentialAt(config)
    const place = new URL(url ?? '')
    const { clock } = runtime
    const standIn = createStandIn({ clock, logger, target: name, credential })
    const onFault = (error: unknown) => {
      const text = error instanceof Error ? error.stack : String(error)
      logger.error('internal', `An answer of target "${name}" could not be handled: ${text}`)
    }
    const client = createHttpUpstream(place, { clock, idleMs: KEEP_ALIVE_MS })
    const connections = plainAnswers(client, place, onFault)
    const sse = () =>
      openSse(connections, { clock, url: place, memory, idleMs: timeouts.idle * 1_000 })
    if (config.transport === 'sse') {
      return createTarget(config, credential, sse(), { ...shared, standIn })
    }
    const http = createTranslatingUpstream(connections, {
      ...{ clock, logger, target: name },
      protocol: 'auto',
      identityHeader: identities?.signedHeader(config),
      mirrorsParams: false,
      memory,
    })
    const upstream =
      config.transport === 'http'
        ? http
        : createDetectingUpstream({
            http,
            openSse: async () => sse(),
            onChoice: (transport) =>
              logger.debug('transport', `Target "${name}" speaks ${transport}`),
          })
    return createTarget(config, credential, upstream, { ...shared, url: place, standIn })
  })
}

/** Opens the credential of a target for callers who signed in at one endpoint; no other shares it. */
export function openCredential(
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
 */
export function standAlone(target: Target, credential: TargetCredential): Target {
  return {
    ...target,
    prefix: '',
    credential,
    knownTools: target.knownTools?.anew(),
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
    const text = `Target "${name}" was not reached several times in a row: requests to it fail at once, but for one now and then`
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
