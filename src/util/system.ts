import type { ChildProcess } from 'node:child_process'
import type { Clock, ProgramResult, RunningProgram, Runtime, System } from './runtime.js'
import { createSpawn } from './spawn.js'

/** The part of the global `process` that is needed here. */
export interface ProcessPart {
  readonly pid: number
  readonly ppid: number
  readonly stderr: { readonly isTTY?: boolean }
  readonly platform?: NodeJS.Platform
  kill(pid: number, signal: 0 | NodeJS.Signals): boolean
  on?(event: 'exit', listener: () => void): unknown
  off?(event: 'exit', listener: () => void): unknown
}

/** How long a launched program may take to fail before it counts as started. */
const LAUNCH_MS = 1_000

/** Creates the real {@link System}. Loads `node:child_process` only when a program is run. */
export function createSystem(process: ProcessPart, clock: Clock): System {
  const running = new Set<ChildProcess>()
  return {
    pid: process.pid,
    get parentPid() {
      return process.ppid
    },
    isAlive(pid) {
      try {
        return process.kill(pid, 0)
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EPERM'
      }
    },
    run: (command, args, options) => run(running, command, args, options),
    endPrograms() {
      for (const child of running) child.kill('SIGKILL')
    },
    launch: (command, args) => launch(clock, process.stderr.isTTY === true, command, args),
    start: (command, args, env) => start(clock, command, args, env),
    spawn: createSpawn(process, clock),
  }
}

async function run(
  running: Set<ChildProcess>,
  command: string,
  args: readonly string[],
  { input, timeoutMs }: { input?: string; timeoutMs: number },
): Promise<ProgramResult> {
  const { execFile } = await import('node:child_process')
  return new Promise<ProgramResult>((resolve) => {
    const child = execFile(
      command,
      [...args],
      { timeout: timeoutMs, killSignal: 'SIGKILL', windowsHide: true },
      (error, stdout) => {
        running.delete(child)
        const code = error === null ? 0 : error.code
        resolve({ status: typeof code === 'number' ? code : undefined, stdout })
      },
    )
    running.add(child)
    // A program that ends without reading its input is judged by its status, not by EPIPE.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input ?? '')
  })
}

/** @param isWatched Somebody sees what it says; a pipe would stay open as long as a browser does. */
async function launch(
  clock: Clock,
  isWatched: boolean,
  command: string,
  args: readonly string[],
): Promise<boolean> {
  const { spawn } = await import('node:child_process')
  return new Promise((resolve) => {
    const child = spawn(command, [...args], {
      detached: true,
      stdio: ['ignore', 'ignore', isWatched ? 'inherit' : 'ignore'],
      windowsHide: true,
    })
    child.unref()
    const cancel = clock.after(LAUNCH_MS, () => resolve(true))
    const settle = (started: boolean) => {
      cancel()
      resolve(started)
    }
    child.once('error', () => settle(false))
    child.once('exit', (code) => settle(code === 0))
  })
}

/** How long a program may take to end by itself once its stdin is closed. */
const END_MS = 3_000
const LAST_WORDS = 2_000

async function start(
  clock: Clock,
  command: string,
  args: readonly string[],
  env: Runtime['env'],
): Promise<RunningProgram> {
  const { spawn } = await import('node:child_process')
  const child = spawn(command, [...args], { env, windowsHide: true })
  let lastWords = ''
  child.stdin.on('error', () => undefined)
  child.stdout.setEncoding('utf8')
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    lastWords = (lastWords + text).slice(-LAST_WORDS)
  })
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => resolve())
    child.once('close', () => resolve())
  })
  return {
    write: (text) => void child.stdin.write(text),
    onOutput: (listener) => void child.stdout.on('data', listener),
    onEnd: (listener) => void ended.then(() => listener(lastWords)),
    async close() {
      child.stdin.end()
      const cancel = clock.after(END_MS, () => child.kill('SIGKILL'))
      await ended
      cancel()
    },
  }
}
