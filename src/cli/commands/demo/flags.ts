import { createLogger, type LogFormat, type Logger, type LogLevel } from '../../../util/logger.js'
import { createRedactor } from '../../../util/redact.js'
import type { Runtime } from '../../../util/runtime.js'

/** What every part of `demo` takes. */
export interface DemoFlags {
  /** 0 picks a free port. */
  port: number
  json?: boolean
  logLevel?: LogLevel
  logFormat: LogFormat
}

/** What `demo identity` takes besides. */
export interface IdentityFlags extends DemoFlags {
  /** Form of `iss` in access tokens. */
  issuer?: 'project' | 'agentic' | 'tenant' | 'bare'
  scopes?: string[]
  /** Life of an access token, seconds. */
  ttl?: number
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

export interface Stop {
  readonly signal: AbortSignal
  /** Resolves at the first SIGINT, SIGTERM or SIGHUP. */
  readonly asked: Promise<void>
  /** Stops listening for signals. */
  release(): void
}

/** Starts to listen for the signals that end a program. */
export function listenForStop(runtime: Pick<Runtime, 'onSignal'>): Stop {
  const controller = new AbortController()
  const { signal } = controller
  const release = runtime.onSignal(() => controller.abort())
  const asked = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  return { signal, asked, release }
}
