import { parseConfigUrl } from '../util/descope-url.js'
import { isWildcard } from '../util/private-addresses.js'
import { trimSlashes } from '../util/text.js'
import type { ProxyConfig, ServerConfig, TargetConfig } from './types.js'

/** An MCP endpoint of `serve`: a protected resource of its own. */
export interface EndpointConfig {
  /** The one target behind it; `undefined` for all of them. */
  readonly target: TargetConfig | undefined
  /** Its path on this server, without a slash at the end. */
  readonly path: string
  /** Its public URL, the `resource` of its metadata. */
  readonly url: string
  /** `undefined` only with `insecureNoAuth`. */
  readonly configUrl: string | undefined
  /** Others have the same configuration URL. */
  readonly isShared: boolean
  /** The public URL itself, where this is the only endpoint and stands for all targets. */
  readonly publicUrl: string | undefined
}

type Configured = Pick<ProxyConfig, 'server' | 'targets' | 'descope'>

/**
 * Lists the endpoints that are configured, the one of all targets first.
 *
 * @param boundPort The port we listen on; used only without a configured public URL.
 */
export function endpointsOf(config: Configured, boundPort: number): EndpointConfig[] {
  const { server, targets, descope } = config
  const { endpoints: which, path } = server
  const merged = { target: undefined, path, url: mcpUrlOf(server, boundPort) }
  const places = [
    ...(which === 'each' ? [] : [merged]),
    ...(which === 'merged' ? [] : targets.map((target) => placeOf(target, config, boundPort))),
  ]
  const all = places.map((place) => ({
    ...place,
    configUrl: place.target?.descope?.configUrl ?? descope.configUrl,
  }))
  const issuers = all.map(({ configUrl }) => configUrl && parseConfigUrl(configUrl).issuer)
  const publicUrl = which === 'merged' ? publicUrlOf(server, boundPort) : undefined
  return all.map((endpoint, index) => ({
    ...endpoint,
    isShared: issuers.filter((issuer) => issuer === issuers[index]).length > 1,
    publicUrl,
  }))
}

function placeOf(target: TargetConfig, { server }: Configured, boundPort: number) {
  const path = pathOf(target.name, server.path)
  return { target, path, url: `${frontUrlOf(server, boundPort)}${path}` }
}

/** Returns the path of a target's own endpoint. */
export function pathOf(target: string, path: string): string {
  return `/${target}${path === '/' ? '' : path}`
}

/** Returns the public URL of the front page, before all paths of endpoints. */
export function frontUrlOf(server: ProxyConfig['server'], boundPort: number): string {
  const url = mcpUrlOf(server, boundPort)
  const own = server.path === '/' ? '' : server.path
  return url.slice(0, url.length - own.length).replace(/\/$/, '')
}

/** Returns the public URL that stands for the whole server: its only endpoint, else its front page. */
export function mainUrlOf(config: Configured, boundPort: number): string {
  const [first, ...others] = endpointsOf(config, boundPort)
  if (first !== undefined && (first.target === undefined || others.length === 0)) return first.url
  return frontUrlOf(config.server, boundPort)
}

/** Says where the bridge signs in for some targets: at the endpoint that they have, or would have. */
export function signInPlaceOf(
  config: Configured,
  targets: readonly Pick<TargetConfig, 'name'>[],
): Pick<EndpointConfig, 'configUrl' | 'url'> {
  const [only, ...others] = targets
  const own =
    config.server.endpoints === 'each' && others.length === 0
      ? endpointsOf(config, 0).find(({ target }) => target?.name === only?.name)
      : undefined
  return own ?? { configUrl: config.descope.configUrl, url: mcpUrlOf(config.server, 0) }
}

/**
 * Makes the URL that clients use for the MCP endpoint, which is also the `resource` of our metadata.
 *
 * @param boundPort The port we listen on; used only without a configured public URL.
 */
export function mcpUrlOf(
  { publicUrl, path, host }: Pick<ServerConfig, 'publicUrl' | 'path'> & { host?: string },
  boundPort: number,
): string {
  const base = publicUrlOf({ publicUrl, ...(host !== undefined && { host }) }, boundPort)
  const endsInPath = path !== '/' && new URL(base).pathname.endsWith(path)
  return endsInPath ? base : `${base}${path}`
}

/** Returns the public URL itself, as configured or made from the port we listen on. */
function publicUrlOf(
  { publicUrl, host }: Pick<ServerConfig, 'publicUrl'> & { host?: string },
  boundPort: number,
): string {
  return trimSlashes(publicUrl ?? localUrl(host, boundPort))
}

/** Only what `localhost` surely leads to is called so: 127.0.0.2 and ::1 keep their names. */
function localUrl(host: string | undefined, port: number): string {
  const name = (host ?? 'localhost').replace(/[[\]]/g, '').toLowerCase()
  if (name === '127.0.0.1' || isWildcard(name)) return `http://localhost:${port}`
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`
}
