import { PassThrough } from 'node:stream'
import type { Clock, Runtime, StopSignal, System } from '../../src/util/runtime.js'

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Moves the time on and runs the timers that become due, in their order. */
  advance(ms: number): Promise<void>
  /** How many timers wait. */
  readonly pending: number
}

/** Creates a clock that starts at 2026-01-01 and stands still. */
export function createManualClock(start = Date.UTC(2026, 0, 1)): ManualClock {
  let now = start
  const timers = new Set<{ at: number; callback: () => void }>()
  const settle = async () => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
  }
  return {
    now: () => now,
    after(ms, callback) {
      const timer = { at: now + ms, callback }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    async advance(ms) {
      const end = now + ms
      for (;;) {
        await settle()
        const [next] = [...timers].filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)
        if (next === undefined) break
        timers.delete(next)
        now = Math.max(now, next.at)
        next.callback()
      }
      now = end
      await settle()
    },
    get pending() {
      return timers.size
    },
  }
}

export interface TestRuntime extends Runtime {
  readonly clock: ManualClock
  /** What the other side of stdin writes to. */
  readonly stdin: PassThrough
  /** All that was written to stdout so far. */
  stdout(): string
  /** All that was written to stderr so far. */
  stderr(): string
  /** Lets whoever listens know of an error that nothing caught. */
  fault(error: unknown): void
  /** Sends a signal to whoever listens; tells whether anybody did. */
  signal(signal: StopSignal): boolean
}

export interface TestRuntimeOptions
  extends Partial<Pick<Runtime, 'env' | 'cwd' | 'homeDir' | 'platform' | 'fetch'>> {
  isTty?: boolean
  columns?: number
  clock?: ManualClock
  system?: Partial<System>
}

/** Creates a runtime that refuses the network and programs, stops the clock and keeps the output. */
export function createTestRuntime(options: TestRuntimeOptions = {}): TestRuntime {
  const { isTty = false, columns = 80, clock = createManualClock(), system = {} } = options
  const written = { out: '', err: '' }
  const stdin = new PassThrough()
  const listeners = new Set<(signal: StopSignal) => void>()
  const faultListeners = new Set<(error: unknown) => void>()
  return {
    io: {
      out: (text) => {
        written.out += text
      },
      err: (text) => {
        written.err += text
      },
      stdin,
      outIsTty: isTty,
      errIsTty: isTty,
      inIsTty: isTty,
      columns,
    },
    clock,
    system: {
      pid: 4242,
      isAlive: () => false,
      run: async () => ({ status: undefined, stdout: '' }),
      launch: async () => false,
      ...system,
    },
    fetch: (input) => Promise.reject(new Error(`the network is switched off: ${describe(input)}`)),
    env: {},
    cwd: '/nowhere/project',
    homeDir: '/nowhere/home',
    platform: 'linux',
    nodeVersion: process.versions.node,
    program: { node: '/nowhere/bin/node', script: '/nowhere/lib/mcp-descope-proxy.js' },
    onSignal(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    onFault(listener) {
      faultListeners.add(listener)
      return () => void faultListeners.delete(listener)
    },
    fault(error) {
      for (const listener of [...faultListeners]) listener(error)
    },
    ...pick(options),
    stdin,
    stdout: () => written.out,
    stderr: () => written.err,
    signal(signal) {
      const anybody = listeners.size > 0
      for (const listener of [...listeners]) listener(signal)
      return anybody
    },
  }
}

function pick({ env, cwd, homeDir, platform, fetch }: TestRuntimeOptions) {
  return Object.fromEntries(
    Object.entries({ env, cwd, homeDir, platform, fetch }).filter(([, value]) => value),
  ) as Partial<Pick<Runtime, 'env'>>
}

const describe = (input: string | URL | Request) =>
  input instanceof Request ? input.url : String(input)
