import { parseConfigUrl } from '../../auth/descope/discovery.js'
import { createClientCredentialsSource } from '../../auth/tokens/client-credentials-source.js'
import { type EndpointConfig, endpointsOf } from '../../config/endpoints.js'
import type { Check, CheckReport, Report, Verdict } from '../../diagnose/check.js'
import { descopeChecks, judgeOwnToken } from '../../diagnose/checks/descope.js'
import { type RunResult, runChecks } from '../../diagnose/run.js'
import { ProxyError } from '../../util/errors.js'
import { createCleaner } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { requireTrust } from '../access/check-trust.js'
import {
  type BridgeTarget,
  type ConfiguredTargets,
  findBridgeTarget,
} from '../access/find-target.js'
import { EXIT, STATUS_OF, worstOf } from '../exit-codes.js'
import type { InspectFlags } from '../inputs.js'
import { openNetwork } from '../network.js'
import { countOutcomes } from '../test-target/test-target.js'
import {
  configuredSettings,
  type Inspected,
  inspectTarget,
  type ShownSettings,
  traced,
} from './inspect-target.js'

/** What `inspect --json` prints without an argument. */
export interface InspectedConfiguration {
  readonly ok: boolean
  readonly settings: ShownSettings
  /** The checks of Descope; empty where it is not configured. */
  readonly descope: readonly CheckReport[]
  /** Where clients would connect; `null` for all targets. */
  readonly endpoints: readonly { readonly target: string | null; readonly url: string }[]
  readonly targets: readonly Inspected[]
  /** Names of the targets that are programs on stdio, which are not checked. */
  readonly programs: readonly string[]
  readonly counts: Report['counts']
  readonly exitCode: number
}

/** The result of inspecting a configuration. */
export interface ConfigurationInspection {
  readonly document: InspectedConfiguration
  /** The configuration file, where there is one. */
  readonly file: string | undefined
  readonly checks: readonly CheckReport[]
  /** The failure that decides the exit status. */
  readonly worst: ReturnType<typeof worstOf>
}

/**
 * Inspects what `serve` would run with: the configuration, Descope and each target.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when there is nothing to check.
 */
export async function inspectConfiguration(
  runtime: Runtime,
  flags: InspectFlags,
): Promise<ConfigurationInspection> {
  if (flags.header.length > 0 || flags.curl) {
    throw new ProxyError('USAGE', '`--header` and `--curl` are about one target', {
      hint: 'Name the target: `mcp-descope-proxy inspect <target-or-url>`.',
    })
  }
  const found = await findBridgeTarget(runtime, undefined, flags, 'report')
  const { signIn, configured } = found
  if (configured === undefined) throw new Error('Without an argument there is a configuration')
  await requireTrust(runtime, found, flags, { asServe: true, usesDescope: true })
  const settings = configuredSettings(configured.loaded, (key) => !key.startsWith('targets.'))
  const { config } = configured.loaded
  const endpoints = endpointsOf(config, config.server.port)
  const results = []
  for (const endpoint of onePerIssuer(endpoints)) {
    results.push(await inspectDescope(runtime, flags, signIn, configured, endpoint))
  }
  const descope = {
    reports: results.flatMap(({ reports }) => reports),
    failures: results.flatMap((result) => result.failures),
  }
  const targets: Inspected[] = []
  const failures = [...descope.failures]
  const programs: string[] = []
  for (const { name, program } of configured.targets) {
    if (program !== undefined) {
      programs.push(name)
      continue
    }
    const found = await inspectTarget(runtime, name, { ...flags, trust: true }, true)
    if (found.worst !== undefined) failures.push(found.worst)
    const { inspected } = found
    targets.push({ ...inspected, settings: withoutDescope(inspected.settings) })
  }
  const all = [descope.reports, ...targets.map(checksOf)].flat()
  const worst = worstOf(failures)
  const exitCode = worst === undefined ? EXIT.ok : STATUS_OF[worst]
  const document: InspectedConfiguration = {
    ok: worst === undefined,
    settings,
    descope: descope.reports,
    endpoints: endpoints.map(({ target, url }) => ({ target: target?.name ?? null, url })),
    targets,
    programs,
    counts: countOutcomes(all),
    exitCode,
  }
  return { document, file: configured.loaded.file, checks: all, worst }
}

/** The first endpoint of each MCP server or project in Descope. */
function onePerIssuer(endpoints: readonly EndpointConfig[]): EndpointConfig[] {
  const issuers = endpoints.map(({ configUrl }) => configUrl && parseConfigUrl(configUrl).issuer)
  return endpoints.filter((_endpoint, index) => issuers.indexOf(issuers[index]) === index)
}

/** Checks Descope for an endpoint. Our client does not belong to a target's own MCP server. */
async function inspectDescope(
  runtime: Runtime,
  flags: InspectFlags,
  { client, scope }: BridgeTarget['signIn'],
  { loaded: { config, secrets } }: ConfiguredTargets,
  { configUrl, url: resource, publicUrl, isShared, target: own }: EndpointConfig,
): Promise<RunResult> {
  if (configUrl === undefined) return { reports: [], failures: [] }
  const { clock } = runtime
  const known = [...secrets, client.secret]
  const clean = createCleaner(known)
  const { fetch } = traced(runtime, flags, openNetwork(runtime, flags), clean)
  const { id, secret } = client
  const judgeToken = async (): Promise<Verdict> => {
    const { issuer } = parseConfigUrl(configUrl)
    const proof = PROOFS[config.descope.dpop]
    const target = { kind: 'issuer' as const, issuer, resource, proof }
    const credentials = { id: id ?? '', secret: secret ?? '' }
    const deps = { fetch, clock, target, client: credentials, scope }
    const token = (await createClientCredentialsSource(deps).get()) ?? ''
    known.push(token)
    const rules = { ...config.descope, configUrl, resource, publicUrl, isShared }
    return judgeOwnToken(token, rules, clock)
  }
  const isOwn = own?.descope !== undefined
  const hasClient = id !== undefined && secret !== undefined && !isOwn
  const descope = { ...config.descope, configUrl }
  const all = descopeChecks({ fetch, clock }, descope, hasClient ? judgeToken : undefined)
  const checks = isOwn ? renamed(all, own.name) : all
  return await runChecks(checks, { clock, only: [], leaveOut: [], baseline: undefined, clean })
}

/** What `serve` requires of clients, by `descope.dpop`. */
const PROOFS = { off: undefined, accept: 'offered', require: 'required' } as const

/** Names the target in the ids of its own MCP server's checks. */
function renamed(checks: readonly Check[], target: string): Check[] {
  const name = (id: string) => `${id}:${target}`
  return checks
    .filter(({ id }) => id !== 'descope.token')
    .map((check) => ({ ...check, id: name(check.id), needs: check.needs.map(name) }))
}

/** Leaves out the settings of Descope, which are printed once for all targets. */
function withoutDescope(settings: ShownSettings): ShownSettings {
  return Object.fromEntries(Object.entries(settings).filter(([key]) => !/^descope\./.test(key)))
}

function checksOf({ network, authorization, protocol, contents }: Inspected): CheckReport[] {
  return [...network, ...authorization, ...protocol, ...contents]
}
