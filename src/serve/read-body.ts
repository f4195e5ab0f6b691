import type { IncomingMessage } from 'node:http'

/**
 * Reads a request's body.
 *
 * @param limit Bytes.
 * @param done Gets the body, or `undefined` when it is larger than the limit. Not called when the
 *   client leaves first.
 */
export function readBody(
  request: IncomingMessage,
  limit: number,
  done: (body: Buffer | undefined) => void,
): void {
  const chunks: Buffer[] = []
  let size = 0
  request.on('data', (chunk: Buffer) => {
    size += chunk.length
    if (size <= limit) chunks.push(chunk)
    else if (size - chunk.length <= limit) done(undefined)
  })
  request.on('end', () => {
    if (size <= limit) done(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
  })
}
