import type { IncomingMessage, ServerResponse } from 'node:http'
import process, { versions } from 'node:process'
import { resolveConfig } from './config/load.js'
import { warnOfShortSecrets } from './config/public-value.js'
import type { ConfigInput } from './config/types.js'
import { connectOffers } from './hosts/connect.js'
import { assemble } from './serve/assemble.js'
import { createBindingCheck } from './serve/origins.js'
import { announceStart } from './serve/server.js'
import { createClock } from './util/async.js'
import { createLogger } from './util/logger.js'
import { createRedactor } from './util/redact.js'
import { Roster } from './util/roster.js'
import { createSystem } from './util/system.js'
import { VERSION } from './util/version.js'

export type { ConfigInput, TargetInput } from './config/types.js'

/** What a program around the proxy brings along. All of it has a default. */
export interface CreateProxyOptions {
  /** `process.env` as a rule: `${NAME}` and the settings' own variables are looked up here. */
  env?: Readonly<Record<string, string | undefined>>
  /** For Descope's documents and keys. */
  fetch?: typeof globalThis.fetch
  /** Gets each finished log line. Without it nothing is logged. */
  log?: (line: string) => void
  /** Gets the lines of `audit.stdout`; by default the process's own stdout. */
  audit?: (lines: string) => void
}

export interface Proxy {
  /** Handles one request of a Node HTTP server, or of a platform that speaks its interface. */
  (request: IncomingMessage, response: ServerResponse): void
  /** Resolves when the keys of Descope were requested; rejects when the configuration leads elsewhere. */
  readonly ready: Promise<void>
  /** Ends streams and drops all connections to targets. */
  close(): Promise<void>
}

/** For audit records that wait when it is closed. */
const FLUSH_MS = 5_000

/**
 * Creates the proxy as a request handler, for a server that already exists.
 *
 * The public URL should be configured (`server.publicUrl` or `SERVER_URL`): without it, it is made
 * from `server.port`.
 *
 * @throws {Error} With every problem of the configuration.
 */
export function createProxy(input: ConfigInput, options: CreateProxyOptions = {}): Proxy {
  const { env = {}, log = () => undefined } = options
  const { stdout } = process
  const { audit = (lines) => void stdout.write(lines) } = options
  const { config, secrets, warnings, origins, file } = resolveConfig(input, { env })
  const clock = createClock()
  const redact = createRedactor(secrets)
  const logger = createLogger({ io: { err: log }, clock, ...config.log, redact })
  const { node: nodeVersion } = versions
  announceStart({ version: VERSION, node: nodeVersion, config: file }, config, logger)
  for (const warning of [...warnings, ...warnOfShortSecrets({ origins })]) {
    logger.warn('config', warning)
  }
  const isOnLoopback = createBindingCheck()
  const system = createSystem(process, clock)
  const runtime = {
    clock,
    env,
    system,
    fetch: options.fetch ?? globalThis.fetch,
    offers: connectOffers,
    nodeVersion,
    isOnLoopback,
    io: { out: audit },
    redact,
    process: system,
  }
  const parts = assemble(runtime, config, logger, config.server.port, new Roster())
  const ready = parts.then(() => undefined)
  const isOpen = config.server.insecureNoAuth
  const handler = (request: IncomingMessage, response: ServerResponse): void => {
    if (isOpen && !isOnLoopback(request)) return refuseOutside(response)
    parts.then(
      ({ live }) => live.app.handle(request, response),
      () => response.writeHead(503, { 'retry-after': '5' }).end(),
    )
  }
  const close = async () => {
    const { live, close: closeParts, audit: records } = await parts
    live.app.drain()
    live.app.stop()
    await closeParts()
    await records?.trail.close(FLUSH_MS)
  }
  ready.catch((error: unknown) => logger.error('not_ready', String(error)))
  return Object.assign(handler, { ready, close })
}

/** Without authentication only this machine is served, wherever the server around us listens. */
function refuseOutside(response: ServerResponse): void {
  const error = 'Authentication is off (insecureNoAuth), and this server is not bound to loopback'
  response.writeHead(403, { 'content-type': 'application/json' }).end(JSON.stringify({ error }))
}
