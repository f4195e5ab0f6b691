import type { Readable, Writable } from 'node:stream'

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
  /**
   * Resolves when whoever reads stdout has caught up, or is gone; `undefined` when it is not behind.
   */
  outDrained?(): Promise<void> | undefined
  /** Resolves when stdout was handed to the system; false when whoever reads it is gone. */
  outDelivered?(): Promise<boolean>
  readonly stdin: Readable
  readonly outIsTty: boolean
  readonly errIsTty: boolean
  /** A person can answer a question. */
  readonly inIsTty?: boolean
  /** Columns of the terminal; 80 when there is none. */
  readonly columns: number
}

/** How a program ended; `status` is `undefined` when it could not start or took too long. */
export interface ProgramResult {
  readonly status: number | undefined
  readonly stdout: string
}

/** A program that runs beside us; its stdin and stdout are ours. */
export interface RunningProgram {
  write(text: string): void
  /** Calls back with each piece of stdout. */
  onOutput(listener: (text: string) => void): void
  /** Calls back once, with the last of what it wrote to stderr. */
  onEnd(listener: (lastWords: string) => void): void
  /** Closes its stdin, and ends it when that does not. */
  close(): Promise<void>
}

/** How a program that we talk with ended. */
export interface ProgramEnd {
  /** `undefined` when a signal ended it, or it never started. */
  readonly status: number | undefined
  readonly signal: string | undefined
  /** Why it could not be started. */
  readonly error: NodeJS.ErrnoException | undefined
}

/** A program that runs beside us, in a process group of its own. */
export interface SpawnedProgram {
  readonly pid: number | undefined
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Resolves when it is gone and its output is read, or when it could not be started. */
  readonly ended: Promise<ProgramEnd>
  /** Signals it and all that it started. */
  kill(signal: 'SIGTERM' | 'SIGKILL'): void
}

export interface SpawnOptions {
  /** All its variables. */
  env: Runtime['env']
  /** Without it, our own working directory. */
  cwd: string | undefined
}

/** Other processes and programs of this machine. `createSystem` in `util/system.ts` makes it. */
export interface System {
  readonly pid: number
  /** The process that started us, or whoever took its place when it died. */
  readonly parentPid?: number
  /** Tells whether a process with this id exists; another user's counts too. */
  isAlive(pid: number): boolean
  /** Runs a program to its end, without a shell. Never rejects. */
  run(
    command: string,
    args: readonly string[],
    options: { input?: string; timeoutMs: number },
  ): Promise<ProgramResult>
  /** Ends what was run and did not end yet, at once; for the end of the process. */
  endPrograms?(): void
  /** Starts a program and leaves it alone, without a shell; tells whether it could be started. */
  launch(command: string, args: readonly string[]): Promise<boolean>
  /** Starts a program and talks with it, without a shell. */
  start?(command: string, args: readonly string[], env: Runtime['env']): Promise<RunningProgram>
  /** Starts a program without a shell. It never outlives us, unless we are killed and it ignores EOF. */
  spawn?(command: string, args: readonly string[], options: SpawnOptions): Promise<SpawnedProgram>
}

/** `SIGBREAK` comes on Windows only: Ctrl+Break. */
export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP' | 'SIGBREAK'

/** Everything a command needs from outside. `cli.ts` makes the real one; tests make their own. */
export interface Runtime {
  readonly io: Io
  readonly clock: Clock
  readonly system: System
  readonly fetch: typeof globalThis.fetch
  /** The user allows plain http for credentials. */
  readonly allowHttp?: boolean | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string
  readonly homeDir: string
  readonly platform: NodeJS.Platform
  /** Without the leading `v`. */
  readonly nodeVersion: string
  /** Paths of the running Node and of the script that it was started with. */
  readonly program: { readonly node: string; readonly script: string }
  /** Calls back on each SIGINT, SIGTERM, SIGHUP or SIGBREAK; returns a function that stops listening. */
  onSignal(listener: (signal: StopSignal) => void): () => void
  /**
   * Calls back on each SIGHUP in place of {@link onSignal}, but where the terminal is gone; returns a
   * function that stops listening.
   */
  onReload?(listener: () => void): () => void
  /**
   * Calls back with each error that nothing caught, which no longer ends the process then; returns a
   * function that stops listening.
   */
  onFault(listener: (error: unknown) => void): () => void
}
