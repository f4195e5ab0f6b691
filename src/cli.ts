import { homedir } from 'node:os'
import { isatty } from 'node:tty'
import { run } from './cli/run.js'
import { createClock } from './util/async.js'
import { createOutput } from './util/output.js'
import type { Runtime, StopSignal } from './util/runtime.js'
import { createSystem } from './util/system.js'

const KEEP_ALIVE_MS = 2 ** 31 - 1

/** With the goodbye to a target, less than the 2 s in which the bridge has to end. */
const FLUSH_MS = 1_200

const LOG_DELAY_MS = 20

const SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK']

const listeners = new Set<(signal: StopSignal) => void>()

let interrupts = 0

const reloadListeners = new Set<() => void>()

/** A terminal that was closed, for which the system sends SIGHUP too, is none any more. */
const hadTerminal = process.stderr.isTTY === true
const isHungUp = () => process.platform === 'win32' || (hadTerminal && !isatty(2))

const take = (signal: StopSignal) => {
  if (signal !== 'SIGHUP' || reloadListeners.size === 0 || isHungUp()) return stop(signal)
  for (const listener of [...reloadListeners]) listener()
}

const stop = (signal: StopSignal) => {
  if (signal === 'SIGINT' && ++interrupts > 1) process.exit(130)
  for (const listener of [...listeners]) listener(signal)
}

function onSignal(listener: (signal: StopSignal) => void): () => void {
  if (listeners.size === 0) for (const signal of SIGNALS) process.on(signal, take)
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
    if (listeners.size === 0) for (const signal of SIGNALS) process.off(signal, take)
  }
}

function onReload(listener: () => void): () => void {
  reloadListeners.add(listener)
  return () => void reloadListeners.delete(listener)
}

const faultListeners = new Set<(error: unknown) => void>()

// Node reports unhandled rejections here too
const fail = (error: unknown) => {
  for (const listener of [...faultListeners]) listener(error)
}

function onFault(listener: (error: unknown) => void): () => void {
  if (faultListeners.size === 0) process.on('uncaughtException', fail)
  faultListeners.add(listener)
  return () => {
    faultListeners.delete(listener)
    if (faultListeners.size === 0) process.off('uncaughtException', fail)
  }
}

const clock = createClock()

const system = createSystem(process, clock)

// Each write on a pipe is a system call that waits, so that log lines go out together.
const stderr = createOutput(process.stderr, (write) => setTimeout(write, LOG_DELAY_MS))

// Whoever read our data is gone: for a command that listens, the same as being hung up on.
const stdout = createOutput(
  process.stdout,
  (write) => write(),
  () => stop('SIGHUP'),
)

const runtime: Runtime = {
  io: {
    out: stdout.write,
    err: stderr.write,
    outDrained: stdout.drained,
    outDelivered: stdout.delivered,
    get stdin() {
      return process.stdin
    },
    outIsTty: process.stdout.isTTY === true,
    errIsTty: process.stderr.isTTY === true,
    get inIsTty() {
      return process.stdin.isTTY === true
    },
    get columns() {
      return process.stdout.columns || 80
    },
  },
  clock,
  system,
  // Looked up late, because the global loads Node's HTTP client when it is first touched.
  fetch: (input, init) => globalThis.fetch(input, init),
  env: process.env,
  cwd: process.cwd(),
  homeDir: homedir(),
  platform: process.platform,
  nodeVersion: process.versions.node,
  program: { node: process.execPath, script: process.argv[1] ?? '' },
  onSignal,
  onReload,
  onFault,
}

process.on('exit', () => {
  stderr.flushNow()
  system.endPrograms?.()
})

// Waiting for a command keeps the process alive, even while all its timers are unreferenced.
const keepAlive = setInterval(() => undefined, KEEP_ALIVE_MS)

const status = await run(runtime, process.argv.slice(2))

const late = new Promise((resolve) => setTimeout(resolve, FLUSH_MS))

await Promise.race([Promise.all([stdout.flush(), stderr.flush()]), late])

clearInterval(keepAlive)

process.exit(status)
