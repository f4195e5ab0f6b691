import type { Readable } from 'node:stream'

/** Time, so that tests can move it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number
  /**
   * Calls back once after `ms` milliseconds. A waiting timer does not keep the process alive.
   *
   * @returns A function that cancels the timer; calling it late or twice does nothing.
   */
  after(ms: number, callback: () => void): () => void
}

/** The terminal or pipes around the process. stdout is data, stderr is talk. */
export interface Io {
  out(text: string): void
  err(text: string): void
  readonly stdin: Readable
  readonly outIsTty: boolean
  readonly errIsTty: boolean
  /** Columns of the terminal; 80 when there is none. */
  readonly columns: number
}

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** Everything a command needs from outside. `cli.ts` makes the real one; tests make their own. */
export interface Runtime {
  readonly io: Io
  readonly clock: Clock
  readonly fetch: typeof globalThis.fetch
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly homeDir: string
  readonly platform: NodeJS.Platform
  /** Without the leading `v`. */
  readonly nodeVersion: string
  /** Calls back on each SIGINT, SIGTERM or SIGHUP; returns a function that stops listening. */
  onSignal(listener: (signal: StopSignal) => void): () => void
}
