import type { SignInTarget } from '../auth/sign-in-target.js'
import type { LoadedConfig } from '../config/load.js'
import { nearest } from '../config/nearest.js'
import type { ProxyConfig, TargetConfig } from '../config/types.js'
import { ProxyError } from '../util/errors.js'
import type { Runtime } from '../util/runtime.js'

/** Flags that say whom a sign-in is for and as which client. */
export interface TargetFlags {
  config?: string
  profile?: string
  clientId?: string
  clientMetadataUrl?: string
  scope?: string
}

/** A target of the bridge, with what is configured of it. */
export interface BridgeTarget {
  readonly signIn: SignInTarget
  /** `undefined` for a URL, of which nothing is configured. */
  readonly configured: { readonly target: TargetConfig; readonly loaded: LoadedConfig } | undefined
}

type Where = Pick<Runtime, 'cwd' | 'env' | 'homeDir' | 'platform'>

/** As {@link findBridgeTarget}, for who only signs in. */
export async function findSignInTarget(
  runtime: Where,
  argument: string | undefined,
  flags: TargetFlags,
): Promise<SignInTarget> {
  return (await findBridgeTarget(runtime, argument, flags)).signIn
}

/**
 * Finds what `[target-or-url]` means for the bridge and the commands of its sign-in: a URL stands
 * for itself, a name for a configured target, nothing for the only configured target. Like the
 * bridge, this never reads a configuration from the working directory.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID`
 */
export async function findBridgeTarget(
  runtime: Where,
  argument: string | undefined,
  flags: TargetFlags,
): Promise<BridgeTarget> {
  const { env } = runtime
  const common = {
    profile: flags.profile ?? env['MCP_DESCOPE_PROFILE'] ?? 'default',
    client: {
      id: flags.clientId ?? (env['MCP_DESCOPE_CLIENT_ID'] || undefined),
      secret: env['MCP_DESCOPE_CLIENT_SECRET'] || undefined,
      metadataUrl: flags.clientMetadataUrl ?? (env['MCP_DESCOPE_CLIENT_METADATA_URL'] || undefined),
    },
    scope: flags.scope,
  }
  if (argument !== undefined && /^https?:\/\//i.test(argument)) {
    const url = parseTargetUrl(argument)
    const name = `${url.host}${url.pathname}`
    const grant = { kind: 'server', url } as const
    return { signIn: { ...common, name, grant }, configured: undefined }
  }
  const { loadConfig } = await import('../config/load.js')
  const { config: file, profile } = flags
  const loaded = loadConfig(runtime, {
    flags: {
      ...(file !== undefined && { config: file }),
      ...(profile !== undefined && { profile }),
    },
    for: 'stdio',
  })
  const target = chooseTarget(loaded.config.targets, argument)
  const grant = await grantOf(loaded.config, target)
  return { signIn: { ...common, name: target.name, grant }, configured: { target, loaded } }
}

/**
 * A target with a credential of its own behind a configured Descope server is signed in to at
 * Descope; every other target says itself who issues its tokens.
 */
async function grantOf(config: ProxyConfig, target: TargetConfig): Promise<SignInTarget['grant']> {
  const { configUrl } = config.descope
  if (configUrl === undefined || target.credential.type === 'none') {
    return { kind: 'server', url: parseTargetUrl(target.url) }
  }
  const [{ parseConfigUrl }, { mcpUrlOf }] = await Promise.all([
    import('../auth/descope.js'),
    import('../config/public-url.js'),
  ])
  const { publicUrl } = config.server
  return {
    kind: 'issuer',
    issuer: parseConfigUrl(configUrl).issuer,
    resource: publicUrl === undefined ? undefined : mcpUrlOf(config.server, 0),
  }
}

function chooseTarget(targets: readonly TargetConfig[], name: string | undefined): TargetConfig {
  const names = targets.map((target) => target.name)
  const [only] = targets
  if (name === undefined && only !== undefined && targets.length === 1) return only
  if (name === undefined) {
    const message =
      only === undefined ? 'No target is configured' : 'Several targets are configured'
    throw new ProxyError('USAGE', message, {
      hint: only === undefined ? 'Name a URL: https://…/mcp.' : `Name one of ${names.join(', ')}.`,
    })
  }
  const found = targets.find((target) => target.name === name)
  if (found !== undefined) return found
  const meant = nearest(name, names)
  throw new ProxyError('USAGE', `There is no target ${JSON.stringify(name)}`, {
    hint: meant === undefined ? 'Name a configured target, or a URL.' : `Did you mean ${meant}?`,
  })
}

function parseTargetUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.username !== '' || url.password !== '') {
    throw new ProxyError('USAGE', 'The URL of the target is not an http(s) URL without credentials')
  }
  return url
}
