import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../auth/credentials/credential.js'
import { connectDescope } from '../auth/descope/connection.js'
import type { Principal } from '../auth/principal.js'
import { createDescope, type Descope } from '../auth/resource-server.js'
import type { KeysState } from '../auth/verify/jwks.js'
import type { EndpointConfig } from '../config/endpoints.js'
import type { ProxyConfig, TargetConfig } from '../config/types.js'
import type { Gateway } from '../gateway/gateway.js'
import type { Keeper } from '../util/keeper.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { keepCredential, type OpenTarget, type OpenTargetsOptions, standAlone } from './targets.js'

/** An endpoint with what answers its requests. */
export interface Endpoint {
  /** The target that stands alone there; `undefined` for the endpoint of all targets. */
  readonly target: string | undefined
  readonly path: string
  /** Its public URL. */
  readonly resource: string
  readonly gateway: Gateway
  /** `undefined` switches authentication off. */
  readonly descope: Descope | undefined
}

/** How the slots of connections to Descope begin. */
export const CONNECTION = 'connection '

/** How those begin of what an endpoint needs of Descope; its URL follows. */
export const DESCOPE = 'descope '

interface DescopesOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  config: ProxyConfig
  endpoints: readonly EndpointConfig[]
  keptClaims: readonly string[] | 'all'
  logger: Logger
  keeper: Keeper
}

/**
 * Creates what each endpoint needs of Descope. Endpoints of one MCP server or project there share its
 * documents and keys; what a token is good for is decided at each one.
 */
export function createDescopes(options: DescopesOptions): Map<EndpointConfig, Descope> {
  const { runtime, config, endpoints, keptClaims, logger, keeper } = options
  const { issuers } = config.descope
  const descopes = new Map<EndpointConfig, Descope>()
  for (const endpoint of endpoints) {
    const { target, url: resource, configUrl, isShared, publicUrl } = endpoint
    const settings = { ...config.descope, configUrl }
    if (configUrl === undefined) {
      descopes.set(endpoint, createDescope({ runtime, config: settings, resource, logger }))
      continue
    }
    const known = connectDescope({ runtime, configUrl, issuers, logger })
    const slot = `${CONNECTION}${known.project.issuer}`
    const connection = keeper.keep(slot, [JSON.stringify(issuers)], () => known)
    const parts = {
      ...{ resource, publicUrl, isShared, keptClaims },
      // tokens of other endpoints could have the other audiences, too
      config: target === undefined ? settings : { ...settings, audience: [] },
      policyScopes: policyScopes(target === undefined ? config.targets : [target]),
    }
    const make = () => createDescope({ runtime, logger, connection, ...parts })
    const madeOf = [connection, JSON.stringify(parts)]
    descopes.set(endpoint, keeper.keep(`${DESCOPE}${resource}`, madeOf, make))
  }
  return descopes
}

/** Returns the targets behind an endpoint. */
export function targetsOf(
  options: OpenTargetsOptions,
  all: readonly OpenTarget[],
  { target: config, url }: EndpointConfig,
  descope: Descope | undefined,
): readonly OpenTarget[] {
  if (config === undefined) return all
  const { keeper } = options
  return all
    .filter(({ target }) => target.name === config.name)
    .map(({ target, settings }) => {
      const credential = keepCredential(options, config, descope, url)
      const alone = standAlone(target, settings, credential)
      return { target: keeper.keep(`target ${url}`, [target], () => alone), settings: alone }
    })
}

/** Finds what Descope is to a target where all targets are, else at its own endpoint. */
export function descopeFinder(
  descopes: ReadonlyMap<EndpointConfig, Descope>,
): (target: TargetConfig) => Descope | undefined {
  const entries = [...descopes]
  const merged = entries.find(([{ target }]) => target === undefined)?.[1]
  return ({ name }) => merged ?? entries.find(([{ target }]) => target?.name === name)?.[1]
}

const FROM_WORST: readonly KeysState[] = ['missing', 'stale', 'ok']

/** Says how the keys of all endpoints are. */
export function worstKeysState(
  endpoints: readonly { readonly descope: Pick<Descope, 'keysState'> | undefined }[],
): KeysState {
  const states = endpoints.flatMap(({ descope }) => descope?.keysState() ?? [])
  return FROM_WORST.find((state) => states.includes(state)) ?? 'ok'
}

export type Handle = (request: IncomingMessage, response: ServerResponse) => void

/** What a caller is not to learn, for the log. */
export interface Hidden {
  readonly target: string | undefined
  readonly endpoint: string
  readonly rule: string
  readonly principal: Principal | undefined
}

/**
 * Puts the access rules of an endpoint's one target before it: who is not admitted finds nothing there, as
 * at any other path. Who has no good token is refused by the endpoint itself.
 */
export function withAccess(
  { target, gateway, path }: Endpoint,
  authenticate: (request: IncomingMessage) => Caller | Promise<Caller>,
  handle: Handle,
  refuseNotFound: (request: IncomingMessage, response: ServerResponse, hidden: Hidden) => void,
): Handle {
  const barrier = target === undefined ? undefined : gateway.targets[0]?.barrier
  if (barrier === undefined) return handle
  return (request, response) => {
    const decide = ({ principal }: Caller) => {
      const rule = barrier(principal)
      if (rule === undefined) handle(request, response)
      else refuseNotFound(request, response, { target, rule, principal, endpoint: path })
    }
    const caller = authenticate(request)
    if (!(caller instanceof Promise)) return decide(caller)
    caller.then(decide, () => handle(request, response)).catch(() => response.destroy())
  }
}
/** The part of a target's configuration that requires scopes. */
interface Restricted {
  readonly access?: { readonly scopes?: readonly string[] | undefined } | undefined
  readonly tools?: ScopeRules | undefined
  readonly prompts?: ScopeRules | undefined
  readonly resources?: ScopeRules | undefined
}

interface ScopeRules {
  readonly scopes?: Readonly<Record<string, readonly string[]>> | undefined
}

/** Collects every scope that the policy of some targets requires. */
function policyScopes(targets: readonly Restricted[]): readonly string[] {
  const scopes = targets.flatMap(({ access, tools, prompts, resources }) => [
    ...(access?.scopes ?? []),
    ...[tools, prompts, resources].flatMap((rules) => Object.values(rules?.scopes ?? {}).flat()),
  ])
  return [...new Set(scopes)]
}
