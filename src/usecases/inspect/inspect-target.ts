import { createPublicValue } from '../../config/public-value.js'
import type { ToolPolicyConfig } from '../../config/target-types.js'
import type { CheckReport, ToolFinding } from '../../diagnose/check.js'
import { createNames } from '../../gateway/routing/names.js'
import { createToolPolicy } from '../../gateway/routing/policy.js'
import type { Network } from '../../upstream/http/network.js'
import { traceNetwork } from '../../upstream/http/trace.js'
import type { Redact } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import type { InspectFlags } from '../inputs.js'
import { type CheckResult, checkTarget } from '../test-target/test-target.js'

export const SECTIONS = ['network', 'authorization', 'protocol', 'contents'] as const

export type InspectionSection = (typeof SECTIONS)[number]

/** Settings by key, each with the origin of its value. Without secrets. */
export type ShownSettings = Readonly<Record<string, { value: unknown; origin: string }>>

/** A tool, and the name under which `serve` has it. */
export interface InspectedTool extends ToolFinding {
  readonly exposedAs: string
  readonly length: number
  /** What `serve` does with it: `restricted` depends on the caller's roles, tenant or scopes. */
  readonly policy: 'allowed' | 'restricted' | 'refused'
}

/** What `inspect --json` prints of one target. */
export type Inspected = Omit<CheckResult['report'], 'checks'> &
  Omit<CheckResult['findings'], 'tools'> &
  Readonly<Record<InspectionSection, readonly CheckReport[]>> & {
    readonly settings: ShownSettings
    readonly tools: readonly InspectedTool[]
  }

/** The inspection of one target: what to print, and the exit status. */
export interface TargetInspection extends CheckResult {
  readonly inspected: Inspected
}

/**
 * Inspects one target.
 *
 * @param asServe Authenticates as `serve` would: with the credential that is configured, or none.
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when there is nothing to check.
 */
export async function inspectTarget(
  runtime: Runtime,
  argument: string | undefined,
  flags: InspectFlags,
  asServe = false,
): Promise<TargetInspection> {
  const watch = (network: Network, clean: Redact) => traced(runtime, flags, network, clean)
  const result = await checkTarget(runtime, argument, flags, { forPeople: true, asServe, watch })
  return { ...result, inspected: inspectedOf(result, profileOrigin(runtime, flags)) }
}

/** With `--trace`, prints each HTTP exchange on stderr. */
export function traced(
  { io }: Pick<Runtime, 'io'>,
  { trace }: InspectFlags,
  network: Network,
  clean: Redact,
): Network {
  return trace ? traceNetwork(network, clean, (text) => io.err(`${text}\n`)) : network
}

function inspectedOf(result: CheckResult, profileFrom: string): Inspected {
  const { checks, ...rest } = result.report
  const of = (section: InspectionSection) => checks.filter(({ id }) => sectionOf(id) === section)
  return {
    ...rest,
    settings: settingsOf(result, profileFrom),
    network: of('network'),
    authorization: of('authorization'),
    protocol: of('protocol'),
    contents: of('contents'),
    ...result.findings,
    tools: exposedTools(result),
  }
}

function sectionOf(id: string): InspectionSection {
  if (id.startsWith('reach.')) return 'network'
  if (id.startsWith('auth.')) return 'authorization'
  return id.startsWith('protocol.') ? 'protocol' : 'contents'
}

/** Names the tools as `serve` would; tools of a URL that is not configured keep their names. */
function exposedTools({ target: { configured }, findings }: CheckResult): InspectedTool[] {
  const name = configured?.targets[0]?.name
  const { config } = configured?.loaded ?? {}
  const target = config?.targets.find((known) => known.name === name)
  // alone at its endpoint it needs no prefix
  const among =
    target !== undefined && config?.server.endpoints === 'each'
      ? [{ ...target, prefix: '' }]
      : config?.targets
  const names = among && createNames(among, config?.names.maxLength ?? 0)
  const judge = target === undefined ? () => 'allowed' as const : createJudge(target.tools)
  return findings.tools.map((tool) => {
    const own = among?.find(({ name }) => name === target?.name)
    const exposedAs = own === undefined ? tool.name : names?.expose(own, tool.name)
    const name = exposedAs ?? tool.name
    return { ...tool, exposedAs: name, length: name.length, policy: judge(tool.name) }
  })
}

/** Judges a tool by policy, for an unknown caller. */
function createJudge(config: ToolPolicyConfig): (name: string) => InspectedTool['policy'] {
  const whole = createToolPolicy(config)
  const ofAnyCaller = createToolPolicy({
    ...{ ...config, roles: {}, permissions: {}, tenants: {}, scopes: {}, stepUp: [] },
  })
  return (name) => {
    if (whole.decide(name, undefined).allowed) return 'allowed'
    return ofAnyCaller.decide(name, undefined).allowed ? 'restricted' : 'refused'
  }
}

function profileOrigin({ env }: Pick<Runtime, 'env'>, { profile }: InspectFlags): string {
  if (profile !== undefined) return 'flag --profile'
  return env['MCP_DESCOPE_PROFILE'] ? 'env MCP_DESCOPE_PROFILE' : 'default'
}

/** The settings of the target and of Descope, each with its origin. */
function settingsOf({ target, report, start }: CheckResult, profileFrom: string): ShownSettings {
  const { loaded, targets } = target.configured ?? { loaded: undefined, targets: [] }
  const prefix = `targets.${targets[0]?.name}.`
  const isOurs = (key: string) => key.startsWith(prefix) || key.startsWith('descope.')
  const { proxy, profile, access, kind } = start
  return {
    ...(loaded === undefined
      ? { url: { value: report.url, origin: 'argument' } }
      : configuredSettings(loaded, isOurs)),
    profile: { value: profile, origin: profileFrom },
    credential:
      access === 'none' ? { value: 'none', origin: 'default' } : { value: kind, origin: access },
    proxy: { value: proxy ?? null, origin: proxy === undefined ? 'default' : 'environment' },
  }
}

type Loaded = NonNullable<CheckResult['target']['configured']>['loaded']

/** The settings that are not defaults, of those that are wanted. */
export function configuredSettings(
  { origins, secrets }: Loaded,
  isWanted: (key: string) => boolean,
): ShownSettings {
  const publicValue = createPublicValue({ secrets: new Set(secrets) })
  const set = [...origins].filter(([key, { from }]) => from !== 'default' && isWanted(key))
  return Object.fromEntries(
    set.map(([key, { value, from }]) => [key, { value: publicValue(key, value), origin: from }]),
  )
}
