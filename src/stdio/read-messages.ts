import type { Readable } from 'node:stream'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import { InvalidMessageError, type Message, parseMessage } from '../mcp/message.js'
import type { Host } from './host.js'
import { LineSplitter } from './lines.js'

/**
 * Reads the host's messages, one a line. What is none is answered with an error. Reading stops
 * while the host does not read what we send.
 */
export function readMessages(
  stdin: Readable,
  host: Host,
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
  stdin.on('data', (chunk: Buffer | string) => {
    lines.push(typeof chunk === 'string' ? Buffer.from(chunk) : chunk)
    if (!host.isBehind) return
    stdin.pause()
    host.whenReady(() => stdin.resume())
  })
  stdin.on('end', () => lines.end())
}
