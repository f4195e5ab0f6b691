import type { SignInTarget } from '../../auth/tokens/token-store.js'
import type { LoadedConfig } from '../../config/load.js'
import type { ProxyConfig, TargetConfig } from '../../config/types.js'
import { ProxyError } from '../../util/errors.js'
import { isReadableOnTheWay } from '../../util/private-addresses.js'
import type { Runtime } from '../../util/runtime.js'
import { nearest } from '../../util/text.js'
import { likelyUrl } from '../../util/url-text.js'

/** Flags that name the target of a sign-in and the OAuth client. */
export interface TargetFlags {
  config?: string
  profile?: string
  clientId?: string
  clientMetadataUrl?: string
  scope?: string
  /** `false` leaves the resource indicator out. */
  resource?: boolean
}

/** The configuration of the targets of a bridge: one, or several behind one sign-in. */
export interface ConfiguredTargets {
  readonly targets: readonly TargetConfig[]
  readonly loaded: LoadedConfig
}

/** The target of a bridge, or all its targets. */
export interface BridgeTarget {
  readonly signIn: SignInTarget
  /** `undefined` for a URL that is not configured. */
  readonly configured: ConfiguredTargets | undefined
}

type Where = Pick<Runtime, 'cwd' | 'env' | 'homeDir' | 'platform'>

/** As {@link findBridgeTarget}, for commands that need exactly one sign-in. */
export async function findSignInTarget(
  runtime: Where,
  argument: string | undefined,
  flags: TargetFlags,
): Promise<SignInTarget> {
  const { signIn, configured } = await findBridgeTarget(runtime, argument, flags)
  const { targets = [] } = configured ?? {}
  if (targets.length < 2 || signIn.grant.kind === 'issuer') return signIn
  throw new ProxyError('USAGE', 'Several targets are configured', {
    hint: `Name one of ${targets.map(({ name }) => name).join(', ')}.`,
  })
}

/**
 * Finds what `[target-or-url]` means for the bridge and the commands of its sign-in: a URL stands for
 * itself, a name for a configured target, nothing for all configured targets. The working directory is
 * searched for a configuration only with `report`.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID`
 */
export async function findBridgeTarget(
  runtime: Where,
  argument: string | undefined,
  flags: TargetFlags,
  use: 'stdio' | 'report' = 'stdio',
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
    const grant = serverGrant(url, flags)
    return { signIn: { ...common, name, grant }, configured: undefined }
  }
  refuseOtherScheme(argument)
  const { loadConfig } = await import('../../config/load.js')
  const { config: file, profile } = flags
  const loaded = loadConfig(runtime, {
    flags: {
      ...(file !== undefined && { config: file }),
      ...(profile !== undefined && { profile }),
    },
    for: use,
  })
  const targets = chooseTargets(loaded, argument)
  const grant = await grantOf(loaded.config, targets, flags)
  const name = targets.map((target) => target.name).join(' and ')
  return { signIn: { ...common, name, grant }, configured: { targets, loaded } }
}

/**
 * With a configured Descope server, several targets, or one with a credential of its own, are signed in
 * to at Descope. Every other target names the issuer of its tokens itself.
 */
async function grantOf(
  config: ProxyConfig,
  targets: readonly TargetConfig[],
  flags: TargetFlags,
): Promise<SignInTarget['grant']> {
  const { signInPlaceOf } = await import('../../config/endpoints.js')
  const { configUrl, url: endpoint } = signInPlaceOf(config, targets)
  const [first] = targets
  const hasOwn =
    first?.credential.type !== 'none' || first.program !== undefined || targets.length > 1
  if (configUrl === undefined || !hasOwn) {
    const url = targets.find((target) => target.url !== undefined)?.url
    if (url === undefined) {
      const what = `The target "${first?.name}" is a program, which needs no sign-in`
      throw new ProxyError('USAGE', what, {
        hint: 'Set descope.configUrl to sign in at Descope first, or let the assistant start the program itself.',
      })
    }
    return serverGrant(parseTargetUrl(url), flags)
  }
  const { parseConfigUrl } = await import('../../auth/descope/discovery.js')
  const { publicUrl } = config.server
  return {
    kind: 'issuer',
    issuer: parseConfigUrl(configUrl).issuer,
    resource: publicUrl === undefined || flags.resource === false ? undefined : endpoint,
  }
}

function serverGrant(url: URL, { resource = true }: TargetFlags): SignInTarget['grant'] {
  return { kind: 'server', url, ...(!resource && { omitResource: true }) }
}

function chooseTargets(
  { config: { targets }, origins }: LoadedConfig,
  name: string | undefined,
): readonly TargetConfig[] {
  if (name === undefined) {
    if (targets.length > 0) return targets
    throw new ProxyError('USAGE', 'No target is configured', { hint: 'Name a URL: https://…/mcp.' })
  }
  const found = targets.find((target) => target.name === name)
  if (found !== undefined) {
    // a single target needs no prefix, unless one is configured
    const isDefault = origins.get(`targets.${name}.prefix`)?.from === 'default'
    return [isDefault ? { ...found, prefix: '' } : found]
  }
  const names = targets.map((target) => target.name)
  const meant = likelyUrl(name) ?? nearest(name, names)
  throw new ProxyError('USAGE', `There is no target ${JSON.stringify(name)}`, {
    hint: meant === undefined ? 'Name a configured target, or a URL.' : `Did you mean ${meant}?`,
  })
}

/** Refuses an argument with another scheme, which cannot be the name of a target. */
function refuseOtherScheme(argument: string | undefined): void {
  if (argument === undefined || !/^[a-z][a-z0-9+.-]*:\//i.test(argument)) return
  const meant = likelyUrl(argument)
  throw new ProxyError('USAGE', `${JSON.stringify(argument.slice(0, 200))} is no http(s) URL`, {
    hint: meant === undefined ? 'Name a URL: https://…/mcp.' : `Did you mean ${meant}?`,
  })
}

function parseTargetUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.username !== '' || url.password !== '') {
    const what = 'The URL of the target is not an http(s) URL without credentials'
    throw new ProxyError('USAGE', what, {
      hint: 'Name a URL such as https://mcp.example.com/mcp.',
    })
  }
  return url
}

/**
 * Refuses to send a token or another secret over plain http to another machine.
 *
 * @throws {ProxyError} `USAGE` unless the user trusts the network.
 */
export function requirePrivacy(urls: readonly string[], allowHttp: boolean): void {
  const readable = allowHttp ? undefined : urls.find(isReadableOnTheWay)
  if (readable !== undefined) throw sentInTheClear(readable)
}

/** The error for a secret that would be sent over plain http. */
export function sentInTheClear(url: string | URL): ProxyError {
  const { origin, pathname } = new URL(url)
  return new ProxyError(
    'USAGE',
    `${origin}${pathname} is plain http to another machine: anybody on the network path could read the token`,
    { hint: 'Use its https URL, or pass `--allow-http` if you trust the network.' },
  )
}

/** The URLs that a bridge to a target sends tokens to. */
export function placesOf({ signIn, configured }: BridgeTarget): string[] {
  const urls = configured?.targets.flatMap(({ url }) => url ?? []) ?? []
  return [...urls, ...placesOfSignIn(signIn)]
}

/** The URLs that the token of a sign-in is requested or sent to. */
export function placesOfSignIn({ grant }: SignInTarget): string[] {
  return grant.kind === 'server' ? [grant.url.href] : [grant.issuer]
}
