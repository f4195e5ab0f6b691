import type { Readable } from 'node:stream'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import { LineSplitter } from '../mcp/lines.js'
import { InvalidMessageError, type Message, parseMessage } from '../mcp/message.js'
import type { Backlog } from './backlog.js'
import type { Host } from './host.js'

/** So much is read but not looked at while nothing more may come: else its end would go unseen. */
const AHEAD_BYTES = 1024 * 1024

/**
 * Reads the host's messages, one a line. What is none is answered with an error. Reading stops while
 * the host does not read what we send, and while too much of what it said is still under way.
 */
export function readMessages(
  stdin: Readable,
  host: Host,
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
