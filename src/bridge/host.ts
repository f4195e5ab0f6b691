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

/** Creates the connection to the host. Nothing else may write to stdout. */
export function createHostConnection(io: Pick<Io, 'out' | 'outDrained'>): HostConnection {
  const waiting: (() => void)[] = []
  let behind = false
  return {
    send(message) {
      // JSON has line breaks only between its tokens, where a space means the same
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

/** Enough for any host that waits for answers; one message alone may be larger. */
const MAX_CHARACTERS = 16 * 1024 * 1024

/** Counts the characters of the host's messages that are under way: beyond a limit no more are read. */
export type Backlog = ReturnType<typeof createBacklog>

export function createBacklog(max = MAX_CHARACTERS) {
  const waiting: (() => void)[] = []
  let size = 0
  const isFull = () => size >= max
  return {
    isFull,
    /** Counts one message; returns what gives its place back, which does so once. */
    take(characters: number): () => void {
      let counted = characters
      size += counted
      return () => {
        size -= counted
        counted = 0
        if (!isFull()) for (const callback of waiting.splice(0)) callback()
      }
    },
    /** Calls back once when there is room. */
    whenReady(callback: () => void): void {
      if (isFull()) waiting.push(callback)
      else callback()
    },
  }
}

/** How much is still read while no more messages are taken: else the end of stdin would go unseen. */
const AHEAD_BYTES = 1024 * 1024

/**
 * Reads the host's messages, one a line, and answers a line that is none with an error. No message is
 * taken while the host does not read what we send, or the backlog is full.
 */
export function readMessages(
  stdin: Readable,
  host: HostConnection,
  backlog: Backlog,
  onMessage: (message: Message) => void,
): void {
  const refuse = ({ id, wire }: InvalidMessageError) => host.send(errorResponse(id, wire))
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
      if (host.isBehind || backlog.isFull()) return wait()
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
