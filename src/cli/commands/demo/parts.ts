import type { Runtime } from '../../../util/runtime.js'
import { EXIT } from '../../exit.js'
import { createDemoLogger, type DemoFlags, type IdentityFlags, listenForStop } from './flags.js'

interface Running {
  readonly url: string
  close(): Promise<void>
}

/** What is said about a part once it listens. */
interface Introduction {
  message: string
  /** Printed as `NAME=value`, ready for a shell or a `.env` file. */
  variables: Readonly<Record<string, string>>
}

/**
 * Runs the Descope emulator until a signal comes. Its user is signed in already and approves
 * everything; the device grant is on.
 *
 * @returns The exit status.
 * @throws {ProxyError} `LISTEN_FAILED`
 */
export async function runIdentity(runtime: Runtime, flags: IdentityFlags): Promise<number> {
  const { startIdentity } = await import('../../../demo/identity/index.js')
  const { clock } = runtime
  const { port, issuer = 'project', scopes, ttl } = flags
  const start = () =>
    startIdentity({
      ...{ clock, port, issuer, device: true },
      ...(scopes !== undefined && { scopes }),
      ...(ttl !== undefined && { ttl }),
    })
  return runUntilStopped(runtime, flags, start, ({ url, configUrl }) => ({
    message: `The Descope emulator listens on ${url}`,
    variables: { DESCOPE_CONFIG_URL: configUrl },
  }))
}

/**
 * Runs the example MCP server until a signal comes.
 *
 * @returns The exit status.
 * @throws {ProxyError} `LISTEN_FAILED`
 */
export async function runTarget(runtime: Runtime, flags: DemoFlags): Promise<number> {
  const { startTarget } = await import('../../../demo/target/target.js')
  const token = runtime.env['TARGET_API_TOKEN'] || undefined
  const start = () => startTarget({ clock: runtime.clock, port: flags.port, token })
  return runUntilStopped(runtime, flags, start, ({ url }) => ({
    message:
      token === undefined
        ? `The example MCP server listens on ${url} and lets everybody in`
        : `The example MCP server listens on ${url} and wants the token in TARGET_API_TOKEN`,
    variables: { TARGET_MCP_SERVER_URL: url },
  }))
}

async function runUntilStopped<T extends Running>(
  runtime: Runtime,
  flags: DemoFlags,
  start: () => Promise<T>,
  introduce: (running: T) => Introduction,
): Promise<number> {
  const stop = listenForStop(runtime)
  try {
    const running = await start()
    const { url } = running
    const { message, variables } = introduce(running)
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`)
    runtime.io.out(flags.json ? `${JSON.stringify({ url, ...variables })}\n` : lines.join(''))
    createDemoLogger(runtime, flags, 'info').info('listening', message, { url })
    await stop.asked
    await running.close()
    return EXIT.ok
  } finally {
    stop.release()
  }
}
