import { withHeaders } from '../../auth/credentials/static.js'
import type { ProgramConfig, TargetConfig } from '../../config/types.js'
import { type CompiledRules, compileRules } from '../../gateway/rules/compile.js'
import { createTarget, ownerCredential, type Target } from '../../gateway/target.js'
import { createDetectingUpstream, createTranslatingUpstream } from '../../upstream/detection.js'
import type { Network } from '../../upstream/http/network.js'
import { createSessionBasedUpstream } from '../../upstream/shared/shared-request.js'
import type { ProgramOptions } from '../../upstream/stdio/stdio-upstream.js'
import type { Upstream } from '../../upstream/upstream.js'
import { ProxyError } from '../../util/errors.js'
import type { Logger } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import type { ConfiguredAccess } from '../access/configured-access.js'
import type { BridgeTarget } from '../access/find-target.js'
import { type BridgeFlags, parseHeaders, type Transport } from '../inputs.js'

/** The settings of a target that is only a URL: the defaults, without loading the table of settings. */
export const URL_DEFAULTS = {
  tools: {
    allow: ['*'],
    deny: [],
    scopes: {},
    roles: {},
    permissions: {},
    tenants: {},
    whenScopeMissing: 'list',
  },
  timeouts: { list: 3, answer: 300, start: 60, idle: 300 },
  names: { maxLength: 56 },
  limits: { children: 100 },
} as const

/** The configuration of each target; for a plain URL, the defaults. */
export function configsOf({ signIn, configured }: BridgeTarget): readonly TargetConfig[] {
  if (configured !== undefined) return configured.targets
  const { name, grant } = signIn
  const url = 'url' in grant ? grant.url.href : ''
  const { tools } = URL_DEFAULTS
  const plain = { transport: 'auto', program: undefined, credential: { type: 'none' } } as const
  return [{ name, prefix: '', url, access: {}, tools, methods: [], ...plain }]
}

/**
 * Reads the headers of `--header`.
 *
 * @throws {ProxyError} `USAGE` when one is wrong, or it is not clear which target they are for.
 */
export function readHeaders(
  { env }: Pick<Runtime, 'env'>,
  { configured }: BridgeTarget,
  { header }: BridgeFlags,
): [string, string][] {
  if (header.length === 0) return []
  const headers = parseHeaders(header, env)
  if ((configured?.targets.length ?? 1) === 1) return headers
  throw new ProxyError('USAGE', '--header is for one target, and several are configured', {
    hint: 'Name one of them, or give each its credential in the configuration.',
  })
}

interface TargetParts {
  readonly runtime: Runtime
  readonly network: Network
  readonly access: ConfiguredAccess
  /** For every request to the target. */
  readonly headers: readonly [string, string][]
  readonly flags: BridgeFlags
  readonly logger: Logger
}

/** Opens the connections to all targets. Nothing is sent yet. */
export async function openBridgeTargets(
  target: BridgeTarget,
  parts: TargetParts,
): Promise<Target[]> {
  const { runtime, access, headers, logger } = parts
  const { timeouts, limits } = target.configured?.loaded.config ?? URL_DEFAULTS
  const { rules, problems } = await compileRules(configsOf(target), {
    clock: runtime.clock,
    logger,
  })
  if (problems.length > 0) {
    const { ConfigError } = await import('../../config/load.js')
    throw new ConfigError(problems)
  }
  const budget = { max: limits.children, used: 0 }
  const open = async (config: TargetConfig) => {
    const { program } = config
    const ruled = rules.get(config.name)
    if (config.identity !== undefined) {
      const text = `Target "${config.name}" gets nothing about its callers here: "identity" works only in serve`
      logger.warn('identity_not_told', text, { target: config.name })
    }
    if (program !== undefined) {
      return await openProgram(runtime, config, program, { timeouts, budget, logger }, ruled)
    }
    const upstream = await openUpstream(config, parts)
    const own = access.credentialOf(config)
    const credential = headers.length > 0 ? withHeaders(own, headers) : own
    if (credential.connect === undefined) return createTarget(config, credential, upstream, ruled)
    const { createStandIn } = await import('../../gateway/connecting/stand-in.js')
    const { clock } = runtime
    const standIn = createStandIn({ clock, logger, target: config.name, credential })
    return createTarget(config, credential, upstream, { standIn, ...ruled })
  }
  return await Promise.all(configsOf(target).map(open))
}

/** Opens a target that is a program on this machine: its process is the user's own. */
async function openProgram(
  runtime: Runtime,
  config: TargetConfig,
  program: ProgramConfig,
  options: ProgramOptions,
  ruled: CompiledRules | undefined,
): Promise<Target> {
  const { createProgramUpstream } = await import('../../upstream/stdio/stdio-upstream.js')
  const upstream = createProgramUpstream(runtime, config.name, program, options)
  return createTarget(config, ownerCredential(), upstream, ruled)
}

/** Connects to a target; unless `--protocol` says otherwise, translates between the versions of MCP. */
async function openUpstream(config: TargetConfig, parts: TargetParts): Promise<Upstream> {
  const { runtime, network, access, logger } = parts
  const { protocol, transport } = parts.flags
  const { clock } = runtime
  const url = new URL(config.url ?? '')
  const kind = transport === 'auto' ? config.transport : transport
  const connected = await connect(runtime, network, url, kind)
  const upstream = access.watch?.(connected, config) ?? connected
  if (protocol === 'legacy') return createSessionBasedUpstream(upstream)
  const options = { clock, logger, target: config.name, protocol, mirrorsParams: true }
  return createTranslatingUpstream(upstream, options)
}

/** Opens the transport; HTTP+SSE is loaded only when the target needs it. */
async function connect(
  { clock }: Pick<Runtime, 'clock'>,
  { connect: connectHttp }: Network,
  url: URL,
  transport: Transport,
): Promise<Upstream> {
  const openSse = async () => {
    const { createSseUpstream } = await import('../../upstream/sse/sse-upstream.js')
    return createSseUpstream({ clock, url, connect: connectHttp })
  }
  if (transport === 'sse') return openSse()
  const http = await connectHttp(url)
  return transport === 'http' ? http : createDetectingUpstream({ http, openSse })
}
