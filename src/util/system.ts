import type { Clock, ProgramResult, System } from './runtime.js'

/** The part of the global `process` that is needed here. */
export interface ProcessPart {
  readonly pid: number
  readonly ppid: number
  kill(pid: number, signal: 0): boolean
}

/** How long a launched program may take to fail before it counts as started. */
const LAUNCH_MS = 1_000

/** Creates the real {@link System}. Loads `node:child_process` only when a program is run. */
export function createSystem(process: ProcessPart, clock: Clock): System {
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
    run,
    launch: (command, args) => launch(clock, command, args),
  }
}

const run: System['run'] = async (command, args, { input, timeoutMs }) => {
  const { execFile } = await import('node:child_process')
  return new Promise<ProgramResult>((resolve) => {
    const child = execFile(
      command,
      [...args],
      { timeout: timeoutMs, killSignal: 'SIGKILL', windowsHide: true },
      (error, stdout) => {
        const code = error === null ? 0 : error.code
        resolve({ status: typeof code === 'number' ? code : undefined, stdout })
      },
    )
    // A program that ends without reading its input is judged by its status, not by EPIPE.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input ?? '')
  })
}

async function launch(clock: Clock, command: string, args: readonly string[]): Promise<boolean> {
  const { spawn } = await import('node:child_process')
  return new Promise((resolve) => {
    const child = spawn(command, [...args], {
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit'],
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
