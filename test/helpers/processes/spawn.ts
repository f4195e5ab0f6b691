import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** A script of this folder as a process; it speaks JSON, one value a line. */
export interface TestProcess {
  readonly child: ChildProcessWithoutNullStreams
  /** Resolves with the next value that it prints. */
  next(): Promise<unknown>
  send(value: unknown): void
  kill(): Promise<void>
  stderr(): string
}

export function spawnProcess(
  script: string,
  input: object,
  env: Record<string, string> = {},
): TestProcess {
  const child = spawn(process.execPath, [script, JSON.stringify(input)], {
    env: { PATH: process.env['PATH'], ...env },
  })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors += text
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    async next() {
      const { value, done } = await lines.next()
      if (done) throw new Error(`The process ended: ${errors}`)
      return JSON.parse(value)
    },
    send: (value) => child.stdin.write(`${JSON.stringify(value)}\n`),
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    stderr: () => errors,
  }
}
