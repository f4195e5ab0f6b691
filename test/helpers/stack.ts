import { resolveConfig } from '../../src/config/load.js'
import type { ConfigInput } from '../../src/config/types.js'
import { type Identity, type IdentityInput, startIdentity } from '../../src/demo/identity/index.js'
import { type RunningServer, startServer } from '../../src/serve/server.js'
import { createClock } from '../../src/util/async.js'
import { createLogger } from '../../src/util/logger.js'
import { createRedactor } from '../../src/util/redact.js'
import type { Clock } from '../../src/util/runtime.js'
import { createSystem } from '../../src/util/system.js'

export interface Stack {
  readonly identity: Identity
  readonly server: RunningServer
  /** The MCP endpoint. */
  readonly url: string
  readonly origin: string
  /** All log lines, as JSON objects. */
  logs(): Record<string, unknown>[]
  logText(): string
  /** A token that this server accepts. */
  token(claims?: Record<string, unknown>): Promise<string>
  /** Posts one message with a valid token, unless `headers` say otherwise. */
  post(message: unknown, headers?: Record<string, string>): Promise<Response>
  close(): Promise<void>
}

export interface StackOptions {
  /** Name → URL, or the whole target. */
  targets: Record<string, string | NonNullable<ConfigInput['targets']>[string]>
  /** How the emulator behaves, or one that runs already: then its tokens fit here too. */
  identity?: IdentityInput | Identity
  /** The real one unless given. */
  clock?: Clock
  /** Merged over the defaults of a test. */
  config?: Omit<ConfigInput, 'targets'>
  env?: Record<string, string>
}

const realClock = createClock()

/** The real clock, for tests against real servers. */
export { realClock as clock }

/** Starts the emulator and the proxy in front of given targets. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const clock = options.clock ?? realClock
  const given = options.identity
  const isRunning = given !== undefined && 'mint' in given
  const identity = isRunning ? given : await startIdentity({ clock, ...given })
  const { config, secrets } = resolveConfig(
    {
      ...options.config,
      descope: { configUrl: identity.configUrl, ...options.config?.descope },
      server: { port: 0, ...options.config?.server },
      log: { level: 'debug', format: 'json', ...options.config?.log },
      targets: Object.fromEntries(
        Object.entries(options.targets).map(([name, target]) => [
          name,
          typeof target === 'string' ? { url: target } : target,
        ]),
      ),
    },
    { env: options.env ?? {} },
  )
  const redact = createRedactor(secrets)
  let text = ''
  const logger = createLogger({
    io: {
      err: (line) => {
        text += line
      },
    },
    clock,
    ...config.log,
    redact,
  })
  const system = createSystem(process, clock)
  const runtime = { clock, system, env: process.env, fetch: globalThis.fetch, redact }
  const server = await startServer(runtime, config, logger)
  const { resource } = server
  const token = (claims: Record<string, unknown> = {}) =>
    identity.mint({ aud: ['client', identity.projectId, resource], ...claims })
  const defaultToken = await token()
  return {
    identity,
    server,
    url: server.url,
    origin: new URL(server.url).origin,
    logText: () => text,
    logs: () =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    token,
    post: (message, headers = {}) =>
      fetch(server.url, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          accept: 'application/json, text/event-stream',
          authorization: `Bearer ${defaultToken}`,
          ...headers,
        },
        body: typeof message === 'string' ? message : JSON.stringify(message),
      }),
    async close() {
      await server.close()
      if (!isRunning) await identity.close()
    },
  }
}

/** Reads an answer's JSON-RPC message, whether it came as JSON or as the last event of a stream. */
export async function readMessage(response: Response) {
  const text = await response.text()
  if (!response.headers.get('content-type')?.includes('text/event-stream')) return JSON.parse(text)
  const data = text.split(/\r?\n/).filter((line) => line.startsWith('data:') && line.length > 6)
  return JSON.parse((data.at(-1) ?? '').slice(5))
}
