import type { LoadedConfig } from '../config/load.js'
import { mcpUrlOf } from '../config/public-url.js'
import type { Logger } from '../util/logger.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import { listenUrl } from './http-server.js'

/** The parts of the configuration that the first log line shows. */
type Announced = Pick<LoadedConfig, 'config' | 'file'>

/** What runs here, for readers of the log. */
export interface Identification {
  readonly version: string
  readonly node: string
  readonly config: string | undefined
}

/** Names the program, its Node and its configuration file. */
export function identify(
  { nodeVersion }: Pick<Runtime, 'nodeVersion'>,
  { file }: Pick<LoadedConfig, 'file'>,
) {
  return { version: VERSION, node: nodeVersion, config: file } satisfies Identification
}

/** The first line: what starts, with which configuration, and under which URL. */
export function announceStart(
  runtime: Pick<Runtime, 'nodeVersion'>,
  loaded: Announced,
  logger: Logger,
): void {
  const { server } = loaded.config
  const isKnown = server.publicUrl !== undefined || server.port !== 0
  const resource = isKnown ? mcpUrlOf(server, server.port) : undefined
  const { version, node, config } = identify(runtime, loaded)
  const file = config === undefined ? 'no configuration file' : `configuration file ${config}`
  const url = resource ?? 'a free port of this machine'
  logger.info('starting', `${PRODUCT} ${version} on Node ${node}, ${file}, for ${url}`, {
    ...{ version, node, config, resource },
  })
}

/** Connections are accepted. Without a configured public URL, one name is used everywhere. */
export function announceListening(
  runtime: Pick<Runtime, 'nodeVersion'>,
  loaded: Announced,
  port: number,
  logger: Logger,
): void {
  const { server, targets: configured } = loaded.config
  const { host, path, publicUrl } = server
  const resource = mcpUrlOf(server, port)
  const url = publicUrl === undefined ? resource : listenUrl({ host, port }, path)
  const targets = configured.map(({ name }) => name)
  const at = publicUrl === undefined ? url : `${url} for ${resource}`
  logger.info('listening', `Listening on ${at}, targets: ${targets.join(', ')}`, {
    ...{ url, resource, targets, ...identify(runtime, loaded) },
  })
}

/** The last line. */
export function announceEnd(
  { why, requests, seconds }: { why: string; requests: number; seconds: number },
  logger: Logger,
): void {
  const text = `Stopped (${why}) after ${requests} requests in ${seconds} s`
  logger.info('stopped', text, { why, requests, seconds })
}
