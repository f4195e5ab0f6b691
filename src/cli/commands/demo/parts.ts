import { EXIT } from '../../../usecases/exit-codes.js'
import { createLogger, type LogFormat, type Logger, type LogLevel } from '../../../util/logger.js'
import { createRedactor } from '../../../util/redact.js'
import type { Runtime } from '../../../util/runtime.js'

interface Running {
  readonly url: string
  close(): Promise<void>
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

/**
 * Runs a part until a signal comes, and prints on stdout what others need to reach it.
 *
 * @returns The exit status.
 */
export async function runUntilStopped<T extends Running>(
  runtime: Runtime,
  flags: DemoFlags,
  start: () => Promise<T>,
  /** `variables` are printed as `NAME=value`, ready for a shell or a `.env` file. */
  introduce: (running: T) => { message: string; variables: Readonly<Record<string, string>> },
): Promise<number> {
  const stop = listenForStop(runtime)
  try {
    const running = await start()
    const { url } = running
    const { message, variables } = introduce(running)
    const lines = Object.entries(variables).map(([name, value]) => `${name}=${value}\n`)
    runtime.io.out(flags.json ? `${JSON.stringify({ url, ...variables })}\n` : lines.join(''))
    createDemoLogger(runtime, flags, 'info').info('listening', message, { url })
    await stop.requested
    await running.close()
    return EXIT.ok
  } finally {
    stop.release()
  }
}

/** Flags of every part of `demo`. */
export interface DemoFlags {
  /** 0 picks a free port. */
  port: number
  json?: boolean
  logLevel?: LogLevel
  logFormat: LogFormat
}

/** Creates the logger of a part; `level` counts unless a flag says otherwise. */
export function createDemoLogger(
  { io, clock }: Pick<Runtime, 'io' | 'clock'>,
  { logLevel, logFormat }: Pick<DemoFlags, 'logLevel' | 'logFormat'>,
  level: LogLevel,
  secrets: readonly (string | undefined)[] = [],
): Logger {
  return createLogger({
    io,
    clock,
    level: logLevel ?? level,
    format: logFormat,
    redact: createRedactor(secrets),
  })
}

/** Starts to listen for SIGINT, SIGTERM and SIGHUP; `requested` resolves at the first one. */
export function listenForStop(runtime: Pick<Runtime, 'onSignal'>) {
  const controller = new AbortController()
  const { signal } = controller
  const release = runtime.onSignal(() => controller.abort())
  const requested = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  return { signal, requested, release }
}
