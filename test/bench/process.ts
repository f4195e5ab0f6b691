import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
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

export interface StartOptions {
  name: string
  role: Role
  /** Script and arguments for Node. */
  script: string[]
  env?: Record<string, string>
  /** With an IPC channel: for the bench's own scripts. */
  commands?: boolean
}

/** From util-linux: runs a command on the given cores. */
const PIN = 'taskset'
const cores = findCores()
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})
let started = 0

/** Tells whether processes are pinned: it needs Linux, `taskset` and two cores. */
export const pinned = cores !== undefined

/** Starts a Node process on its core, with its output in a file. */
export function startProcess(
  folder: string,
  { name, role, script, env, commands = true }: StartOptions,
): Started {
  started += 1
  const logFile = join(folder, `${started}.log`)
  const log = openSync(logFile, 'a')
  const command = [process.execPath, ...script]
  if (cores !== undefined) command.unshift(PIN, '-c', cores[role])
  const child = spawn(command[0]!, command.slice(1), {
    stdio: ['ignore', log, log, ...(commands ? ['ipc' as const] : [])],
    env: { ...cleanEnvironment(), ...env },
    cwd: folder,
  })
  closeSync(log)
  running.add(child)
  const exited = once(child, 'exit').finally(() => running.delete(child))
  exited.catch(() => {})
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
