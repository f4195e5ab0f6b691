import { existsSync } from 'node:fs'
import { LineSplitter } from '../../mcp/lines.js'
import { messageOf } from '../../util/errors.js'
import { ownMember } from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import { HeldBytes, type MemoryBudget } from '../../util/memory-budget.js'
import type { Clock, ProgramEnd, SpawnedProgram, System } from '../../util/runtime.js'
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

/** One process of a target that speaks MCP on stdin and stdout. */
export class StdioChild {
  readonly #options: ChildOptions
  readonly #program: SpawnedProgram
  readonly ended: Promise<void>
  #lastWords = ''
  #isEnding = false

  private constructor(options: ChildOptions, program: SpawnedProgram) {
    this.#options = options
    this.#program = program
    const lines = new LineSplitter(
      (line) => options.onLine(line.toString('utf8')),
      () => options.onTooLong(),
      MAX_LINE_BYTES,
    )
    const held = new HeldBytes(options.memory)
    program.stdout?.on('data', (chunk: Buffer) => {
      lines.push(chunk)
      if (held.set(lines.pendingBytes)) return
      lines.dropLine()
      held.set(0)
      options.onNoRoom()
    })
    const words = new LineSplitter(
      (line) => this.#hear(line.toString('utf8')),
      () => {},
      MAX_STDERR_BYTES,
    )
    program.stderr?.on('data', (chunk: Buffer) => words.push(chunk))
    this.ended = program.ended.then((end) => {
      words.end()
      held.set(0)
      const wanted = this.#isEnding
      this.#isEnding = true
      options.onEnd(this.#describe(end), wanted)
    })
  }

  /** @throws {UpstreamError} when there is no such program, or it may not be run. */
  static async start(options: ChildOptions): Promise<StdioChild> {
    const { spawn, program, logger, name } = options
    const { command, args, env, cwd } = program
    if (cwd !== undefined && !existsSync(cwd)) {
      throw new UpstreamError('unreachable', `its working directory ${cwd} does not exist`)
    }
    const spawned = await spawn(command, args, { env, cwd }).catch((error: unknown) => {
      throw new UpstreamError('unreachable', `it could not be started: ${messageOf(error)}`)
    })
    if (spawned.pid === undefined) throw unstartable(command, await spawned.ended)
    const line = JSON.stringify([command, ...args])
    logger.debug('child_started', `Target "${name}" runs ${line} as process ${spawned.pid}`)
    return new StdioChild(options, spawned)
  }

  /** The process has ended, or was told to. */
  get isEnding(): boolean {
    return this.#isEnding
  }

  /** The process does not read what it is sent. */
  get isDeaf(): boolean {
    return this.#program.stdin.writableLength > MAX_UNREAD_BYTES
  }

  write(text: string): void {
    // line ends are allowed in JSON, but would cut the message here
    if (!this.#isEnding) this.#program.stdin.write(`${text.replace(/[\r\n]+/g, ' ')}\n`)
  }

  flow(paused: boolean): void {
    if (paused) this.#program.stdout.pause()
    else this.#program.stdout.resume()
  }

  /** Closes the stdin of the process, and kills it when that does not end it. */
  async end(): Promise<void> {
    const { stdin, stdout, kill } = this.#program
    if (!this.#isEnding) {
      this.#isEnding = true
      stdin.end()
      stdout.resume()
      const { clock } = this.#options
      let cancel = clock.after(STEP_MS, () => {
        kill('SIGTERM')
        cancel = clock.after(STEP_MS, () => kill('SIGKILL'))
      })
      void this.ended.then(() => cancel())
    }
    await this.ended
  }

  #hear(line: string): void {
    const { logger, name, redact } = this.#options
    if (line.trim() === '') return
    this.#lastWords = line
    logger.debug('child_stderr', redact(line.slice(0, MAX_LOGGED)), { target: name })
  }

  #describe({ status, signal }: ProgramEnd): UpstreamError {
    const how = signal === undefined ? `ended with status ${status}` : `was ended by ${signal}`
    const said = this.#options.redact(this.#lastWords).trim().slice(0, MAX_LAST_WORDS)
    const words = said === '' ? '' : `; it wrote last: ${JSON.stringify(said)}`
    return new UpstreamError('cut_off', `its process ${how}${words}`)
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
