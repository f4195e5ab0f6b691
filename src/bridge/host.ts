import type { Readable } from 'node:stream'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import { LineSplitter } from '../mcp/lines.js'
import { InvalidMessageError, type Message, parseMessage } from '../mcp/message.js'
import type { Io } from '../util/runtime.js'

/** The program that started us: it reads our stdout. */
export interface HostConnection {
  /** Sends one message as one line; later messages go behind it. */
  send(message: string): void
  /** The host reads too slowly for more. */
  readonly isBehind: boolean
  /** Calls back once when it has caught up. */
  whenReady(callback: () => void): void
}

/** Creates the way to the host. Nothing else may write to stdout. */
export function createHostConnection(io: Pick<Io, 'out' | 'outDrained'>): HostConnection {
  const waiting: (() => void)[] = []
  let behind = false
  return {
    send(message) {
      // between the members of a message line breaks mean nothing, and in strings there are none
      io.out(`${/[\r\n]/.test(message) ? message.replace(/[\r\n]+/g, ' ') : message}\n`)
      const drained = io.outDrained?.()
      if (drained === undefined || behind) return
      behind = true
      void drained.then(() => {
        behind = false
        for (const callback of waiting.splice(0)) callback()
      })
    },
    get isBehind() {
      return behind
    },
    whenReady(callback) {
      if (behind) waiting.push(callback)
      else callback()
    },
  }
}

/** Enough for any host that waits for answers; one message may be larger. */
const MAX_CHARACTERS = 16 * 1024 * 1024

/** How much of what the host said is still under way: more is not read before there is less. */
export class Backlog {
  readonly #max: number
  readonly #waiting: (() => void)[] = []
  #size = 0

  constructor(max = MAX_CHARACTERS) {
    this.#max = max
  }

  get isFull(): boolean {
    return this.#size >= this.#max
  }

  /** Counts one message; returns what to call when it is done with, late or twice does nothing. */
  take(characters: number): () => void {
    let counts = characters
    this.#size += counts
    return () => {
      this.#size -= counts
      counts = 0
      if (!this.isFull) for (const callback of this.#waiting.splice(0)) callback()
    }
  }

  /** Calls back once when there is room. */
  whenReady(callback: () => void): void {
    if (this.isFull) this.#waiting.push(callback)
    else callback()
  }
}

/** So much is read but not looked at while nothing more may come: else its end would go unseen. */
const AHEAD_BYTES = 1024 * 1024

/**
 * Reads the host's messages, one a line. What is none is answered with an error. Reading stops while
 * the host does not read what we send, and while too much of what it said is still under way.
 */
export function readMessages(
  stdin: Readable,
  host: HostConnection,
  backlog: Backlog,
  onMessage: (message: Message) => void,
): void {
  const refuse = (error: InvalidMessageError) => {
    host.send(errorResponse(error.id, error.wire))
  }
  const onLine = (line: Buffer) => {
    let message: Message
    try {
      message = parseMessage(line)
    } catch (error) {
      if (error instanceof InvalidMessageError) return refuse(error)
      throw error
    }
    onMessage(message)
  }
  const lines = new LineSplitter(onLine, () =>
    refuse(new InvalidMessageError(ERROR_CODES.invalidRequest, 'The line is too long')),
  )

  const ahead: Buffer[] = []
  let aheadBytes = 0
  let isWaiting = false
  const goOn = () => {
    isWaiting = false
    for (let chunk = ahead[0]; chunk !== undefined; chunk = ahead[0]) {
      if (host.isBehind || backlog.isFull) return wait()
      ahead.shift()
      aheadBytes -= chunk.length
      lines.push(chunk)
    }
    if (stdin.isPaused()) stdin.resume()
  }
  const wait = () => {
    if (aheadBytes >= AHEAD_BYTES) stdin.pause()
    if (isWaiting) return
    isWaiting = true
    if (host.isBehind) host.whenReady(goOn)
    else backlog.whenReady(goOn)
  }
  stdin.on('data', (chunk: Buffer | string) => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    ahead.push(bytes)
    aheadBytes += bytes.length
    if (isWaiting) wait()
    else goOn()
  })
  stdin.on('end', () => {
    for (const chunk of ahead.splice(0)) lines.push(chunk)
    lines.end()
  })
}
