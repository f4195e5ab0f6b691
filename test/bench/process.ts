import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { connectCommands, type Remote } from './rpc.js'

/** `subject` is the process under test; target and load share the other core. */
type Role = 'subject' | 'other'

export interface Started {
  pid: number
  remote: Remote
  /** What it wrote on stdout and stderr. */
  log(): string
  /** Logs may grow large; they are kept only while they may explain a failure. */
  clearLog(): void
  alive(): boolean
  stop(): Promise<void>
}

/** A process that is spoken to over its stdin and stdout. */
export interface Piped {
  pid: number
  stdin: Writable
  stdout: Readable
  /** What it wrote on stderr. */
  log(): string
  /** Resolves with the exit status; `undefined` when a signal ended it. */
  exited: Promise<number | undefined>
  kill(): Promise<void>
}

interface Command {
  role: Role
  /** Script and arguments for Node. */
  script: string[]
  env?: Record<string, string>
}

export interface StartOptions extends Command {
  name: string
  /** With an IPC channel: for the bench's own scripts. */
  commands?: boolean
}

/** From util-linux: runs a command on the given cores. */
const PIN = 'taskset'
const SETTLE_STEP_MS = 300
const SETTLE_STEPS = 7
const cores = findCores()
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
let started = 0

/** Tells whether processes are pinned: it needs Linux, `taskset` and two cores. */
export const pinned = cores !== undefined

/** The command that runs Node on the core for this role. */
export function pinnedCommand(role: Role, script: string[]): string[] {
  const command = [process.execPath, ...script]
  return cores === undefined ? command : [PIN, '-c', cores[role], ...command]
}

/** Starts a Node process on its core, with its output in a file. */
export function startProcess(
  folder: string,
  { name, commands = true, ...command }: StartOptions,
): Started {
  const { child, logFile, exited } = start(folder, command, (log) => {
    return ['ignore', log, log, ...(commands ? ['ipc' as const] : [])]
  })
  return {
    pid: child.pid ?? 0,
    remote: connectCommands(child, name),
    log: () => readFileSync(logFile, 'utf8'),
    clearLog: () => truncateSync(logFile),
    alive: () => running.has(child),
    stop: async () => {
      const killer = setTimeout(() => child.kill('SIGKILL'), 3000)
      child.kill()
      await exited
      clearTimeout(killer)
    },
  }
}

/** Starts a Node process on its core, with pipes to speak through and its stderr in a file. */
export function startPiped(folder: string, command: Command): Piped {
  const { child, logFile, exited } = start(folder, command, (log) => ['pipe', 'pipe', log])
  return {
    pid: child.pid ?? 0,
    stdin: child.stdin!.on('error', () => {}),
    stdout: child.stdout!,
    log: () => readFileSync(logFile, 'utf8'),
    exited,
    kill: async () => {
      child.kill('SIGKILL')
      await exited
    },
  }
}

function start(
  folder: string,
  { role, script, env }: Command,
  stdio: (log: number) => StdioOptions,
) {
  started += 1
  const logFile = join(folder, `${started}.log`)
  const log = openSync(logFile, 'a')
  const command = pinnedCommand(role, script)
  const child: ChildProcess = spawn(command[0]!, command.slice(1), {
    stdio: stdio(log),
    env: { ...cleanEnvironment(), ...env },
    cwd: folder,
  })
  closeSync(log)
  running.add(child)
  const exited = once(child, 'exit')
    .then(([status]: (number | null)[]) => status ?? undefined)
    .finally(() => running.delete(child))
  exited.catch(() => {})
  return { child, logFile, exited }
}

/** Moves the bench itself to the core of target and load, for a suite in which it is the load. */
export function joinLoad(): void {
  if (cores !== undefined) spawnSync(PIN, ['-a', '-c', '-p', cores.other, String(process.pid)])
}

/** The user's own settings must not leak into what is measured. */
function cleanEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env
  return { PATH, HOME, NODE_ENV: 'production' }
}

/** CPU time used so far, milliseconds; `undefined` where there is no /proc. */
export function cpuMs(pid: number): number | undefined {
  const stat = readProc(`/proc/${pid}/stat`)
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields && (Number(fields[11]) + Number(fields[12])) * 10
}

/** Resident memory, kilobytes; `undefined` where there is no /proc. */
export function residentKb(pid: number): number | undefined {
  const found = /^VmRSS:\s+(\d+) kB/m.exec(readProc(`/proc/${pid}/status`) ?? '')
  return found ? Number(found[1]) : undefined
}

/** Waits until resident memory has stopped moving by more than one percent; kilobytes. */
export async function settledKb(pid: number): Promise<number | undefined> {
  let last = residentKb(pid)
  for (let step = 0; last !== undefined && step < SETTLE_STEPS; step += 1) {
    await sleep(SETTLE_STEP_MS)
    const now = residentKb(pid)
    if (now === undefined || Math.abs(now - last) < last / 100) return now
    last = now
  }
  return last
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function findCores(): Record<Role, string> | undefined {
  const list = /^Cpus_allowed_list:\s+(\S+)/m.exec(readProc('/proc/self/status') ?? '')?.[1]
  const allowed = (list ?? '').split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => String(first + index))
  })
  const hasTaskset = spawnSync(PIN, ['--version']).status === 0
  if (!hasTaskset || allowed.length < 2) return undefined
  return { subject: allowed[0]!, other: allowed[1]! }
}
