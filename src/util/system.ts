import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process'
import type {
  Clock,
  ProgramEnd,
  ProgramResult,
  RunningProgram,
  Runtime,
  SpawnedProgram,
  System,
} from './runtime.js'

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

/** How long the output of a program that ended is still read: what it started may keep it open. */
const LAST_OUTPUT_MS = 500

type Spawn = NonNullable<System['spawn']>

/** Creates what starts programs that end with us. Each leads a process group of its own. */
function createSpawn(process: ProcessPart, clock: Pick<Clock, 'after'>): Spawn {
  const groups = process.platform !== 'win32'
  const running = new Set<SpawnedProgram>()
  const endAll = () => {
    for (const program of running) program.kill('SIGKILL')
  }
  return async (command, args, { env, cwd }) => {
    const { spawn } = await import('node:child_process')
    const child = spawn(command, [...args], { env, cwd, detached: groups, windowsHide: true })
    const kill: SpawnedProgram['kill'] = (signal) => {
      try {
        if (child.pid !== undefined && groups) process.kill(-child.pid, signal)
        else child.kill(signal)
      } catch {
        // it ended meanwhile
      }
    }
    const { pid, stdin, stdout, stderr } = child
    const ended = watch(child, clock).then((end) => {
      running.delete(program)
      if (running.size === 0) process.off?.('exit', endAll)
      // what it started and left behind
      if (pid !== undefined) kill('SIGKILL')
      for (const pipe of [stdin, stdout, stderr]) pipe?.destroy()
      return end
    })
    const program: SpawnedProgram = { pid, stdin, stdout, stderr, ended, kill }
    if (pid === undefined) return program
    if (running.size === 0) process.on?.('exit', endAll)
    running.add(program)
    return program
  }
}

function watch(
  child: ChildProcessWithoutNullStreams,
  clock: Pick<Clock, 'after'>,
): Promise<ProgramEnd> {
  return new Promise((resolve) => {
    // a program that ends without reading its input is judged by its status, not by EPIPE
    // (without a process there may be no pipes)
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.on('error', () => {})
    child.on('error', (error) => {
      if (child.pid === undefined) resolve({ status: undefined, signal: undefined, error })
    })
    child.once('exit', (status, signal) => {
      const end = { status: status ?? undefined, signal: signal ?? undefined, error: undefined }
      const cancel = clock.after(LAST_OUTPUT_MS, () => resolve(end))
      child.once('close', () => {
        cancel()
        resolve(end)
      })
    })
  })
}

/** What every program needs to find its files and its way; none of it is a secret. */
const INHERITED = [
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'TZ', 'TERM', 'TMPDIR'],
  ...['TEMP', 'TMP', 'SYSTEMROOT', 'SYSTEMDRIVE', 'WINDIR', 'COMSPEC', 'PATHEXT', 'USERNAME'],
  ...['USERPROFILE', 'HOMEDRIVE', 'HOMEPATH', 'APPDATA', 'LOCALAPPDATA', 'PROGRAMFILES'],
]

/** Tells whether programs that we start get this variable of ours. */
export function isInherited(name: string): boolean {
  const upper = name.toUpperCase()
  return INHERITED.includes(upper) || upper.startsWith('LC_')
}

/** Makes the environment of a program: what it was given, over the few variables that it inherits. */
export function childEnvironment(
  own: Runtime['env'],
  given: Readonly<Record<string, string>>,
): Record<string, string | undefined> {
  const inherited = Object.entries(own).filter(([name]) => isInherited(name))
  return { ...Object.fromEntries(inherited), ...given }
}
