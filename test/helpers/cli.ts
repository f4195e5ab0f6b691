import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { inject } from 'vitest'

/** The program as users start it. */
export const BIN = fileURLToPath(new URL('../../bin/mcp-descope-proxy.js', import.meta.url))

export interface CliOptions {
  cwd?: string
  /** All variables of the process besides PATH. HOME does not exist unless it is given here. */
  env?: Record<string, string>
  /** Written to stdin, which is then closed; without it, stdin is closed at once. */
  stdin?: string
  /** Arguments of node itself. */
  nodeArguments?: readonly string[]
  timeoutMs?: number
}

export interface CliResult {
  stdout: string
  stderr: string
  /** Exit status; `undefined` when a signal ended the process. */
  status: number | undefined
  signal: NodeJS.Signals | undefined
}

export interface CliProcess {
  readonly child: ChildProcessWithoutNullStreams
  stdout(): string
  stderr(): string
  /** Resolves with the first match in what one output holds or will hold. */
  waitFor(output: 'stdout' | 'stderr', pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves when the process has ended and all its output is read. */
  readonly ended: Promise<CliResult>
}

/** Starts the built program as a process of its own. */
export function startCli(args: readonly string[], options: CliOptions = {}): CliProcess {
  const failure = inject('buildFailure')
  if (failure) throw new Error(`The program could not be built:\n${failure}`)
  const { cwd, env = {}, nodeArguments = [], timeoutMs = 15_000 } = options
  const child = spawn(process.execPath, [...nodeArguments, BIN, ...args], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', ...env },
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  const written = { stdout: '', stderr: '' }
  const watchers = new Set<() => void>()
  for (const output of ['stdout', 'stderr'] as const) {
    child[output].setEncoding('utf8').on('data', (text: string) => {
      written[output] += text
      for (const watcher of [...watchers]) watcher()
    })
  }
  const ended = new Promise<CliResult>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      resolve({ ...written, status: status ?? undefined, signal: signal ?? undefined })
    })
  })
  const waitFor: CliProcess['waitFor'] = (output, pattern) =>
    new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(written[output])
        if (!match) return
        watchers.delete(look)
        resolve(match)
      }
      watchers.add(look)
      look()
      ended.then(
        ({ status, stderr }) =>
          reject(new Error(`ended with ${status} before ${pattern}; stderr:\n${stderr}`)),
        reject,
      )
    })
  return { child, stdout: () => written.stdout, stderr: () => written.stderr, waitFor, ended }
}

/** Runs the built program to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { child, ended } = startCli(args, options)
  child.stdin.on('error', () => undefined)
  child.stdin.end(options.stdin ?? '')
  return ended
}
