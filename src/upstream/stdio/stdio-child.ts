import { existsSync } from 'node:fs'
import { LineSplitter } from '../../mcp/lines.js'
import { messageOf } from '../../util/errors.js'
import { ownMember } from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import { HeldBytes, type MemoryBudget } from '../../util/memory-budget.js'
import type { Clock, ProgramEnd, System } from '../../util/runtime.js'
import { UpstreamError } from '../upstream-error.js'

/** Between closing its stdin, SIGTERM and SIGKILL. */
const STEP_MS = 2_000

const MAX_LINE_BYTES = 32 * 1024 * 1024
const MAX_STDERR_BYTES = 64 * 1024

const MAX_LOGGED = 2_000
const MAX_LAST_WORDS = 300

/** A program that has not read more than this gets no further requests. */
const MAX_UNREAD_BYTES = 8 * 1024 * 1024

/** How a target's program is started. */
export interface Program {
  readonly command: string
  readonly args: readonly string[]
  /** All variables of its environment. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cwd: string | undefined
}

export interface ChildOptions {
  clock: Pick<Clock, 'after'>
  spawn: NonNullable<System['spawn']>
  logger: Pick<Logger, 'debug' | 'warn'>
  /** The target's name. */
  name: string
  program: Program
  /** Removes secrets from what the program wrote. */
  redact(text: string): string
  onLine(line: string): void
  /** A line is too long to be read. */
  onTooLong(): void
  /** Counts what is kept of a line that has not ended. */
  memory?: MemoryBudget | undefined
  /** There is no room for what is kept of a line, which is dropped. */
  onNoRoom(): void
  /** Called once. `wanted` tells whether we ended it. */
  onEnd(error: UpstreamError, wanted: boolean): void
}

export type StdioChild = Awaited<ReturnType<typeof startChild>>

/**
 * Starts one process of a target that speaks MCP on stdin and stdout.
 *
 * @throws {UpstreamError} when there is no such program, or it may not be run.
 */
export async function startChild(options: ChildOptions) {
  const { spawn, logger, name, clock, memory, redact } = options
  const { command, args, env, cwd } = options.program
  if (cwd !== undefined && !existsSync(cwd)) {
    throw new UpstreamError('unreachable', `its working directory ${cwd} does not exist`)
  }
  const program = await spawn(command, args, { env, cwd }).catch((error: unknown) => {
    throw new UpstreamError('unreachable', `it could not be started: ${messageOf(error)}`)
  })
  if (program.pid === undefined) throw unstartable(command, await program.ended)
  const line = JSON.stringify([command, ...args])
  logger.debug('child_started', `Target "${name}" runs ${line} as process ${program.pid}`)

  let lastWords = ''
  let isEnding = false
  const lines = new LineSplitter(
    (line) => options.onLine(line.toString('utf8')),
    () => options.onTooLong(),
    MAX_LINE_BYTES,
  )
  const held = new HeldBytes(memory)
  program.stdout?.on('data', (chunk: Buffer) => {
    lines.push(chunk)
    if (held.set(lines.pendingBytes)) return
    lines.dropLine()
    held.set(0)
    options.onNoRoom()
  })
  const hear = (line: Buffer) => {
    const text = line.toString('utf8')
    if (text.trim() === '') return
    lastWords = text
    logger.debug('child_stderr', redact(text.slice(0, MAX_LOGGED)), { target: name })
  }
  const words = new LineSplitter(hear, () => {}, MAX_STDERR_BYTES)
  program.stderr?.on('data', (chunk: Buffer) => words.push(chunk))
  const ended = program.ended.then(({ status, signal }) => {
    words.end()
    held.set(0)
    const wanted = isEnding
    isEnding = true
    const how = signal === undefined ? `ended with status ${status}` : `was ended by ${signal}`
    const said = redact(lastWords).trim().slice(0, MAX_LAST_WORDS)
    const last = said === '' ? '' : `; it wrote last: ${JSON.stringify(said)}`
    options.onEnd(new UpstreamError('cut_off', `its process ${how}${last}`), wanted)
  })

  return {
    /** The process has ended, or was told to. */
    get isEnding(): boolean {
      return isEnding
    },

    /** The process does not read what it is sent. */
    get isDeaf(): boolean {
      return program.stdin.writableLength > MAX_UNREAD_BYTES
    },

    write(text: string): void {
      // line ends are allowed in JSON, but would cut the message here
      if (!isEnding) program.stdin.write(`${text.replace(/[\r\n]+/g, ' ')}\n`)
    },

    flow(paused: boolean): void {
      if (paused) program.stdout.pause()
      else program.stdout.resume()
    },

    /** Closes the stdin of the process, and kills it when that does not end it. */
    async end(): Promise<void> {
      if (!isEnding) {
        isEnding = true
        program.stdin.end()
        program.stdout.resume()
        let cancel = clock.after(STEP_MS, () => {
          program.kill('SIGTERM')
          cancel = clock.after(STEP_MS, () => program.kill('SIGKILL'))
        })
        void ended.then(() => cancel())
      }
      await ended
    },
  }
}

function unstartable(command: string, { error }: ProgramEnd): UpstreamError {
  const name = JSON.stringify(command)
  const reasons: Record<string, string> = {
    ENOENT: `there is no program ${name}`,
    EACCES: `the program ${name} may not be run`,
  }
  const code = error?.code ?? 'unknown reason'
  const reason = ownMember(reasons, code) ?? `the program ${name} cannot be started`
  return new UpstreamError('unreachable', `${reason} (${code})`)
}
