import type { IncomingMessage } from 'node:http'
import type { Clock } from '../util/runtime.js'
import { createDeadlines } from './deadlines.js'

export interface BodyLimits {
  /** Largest body. */
  bytes: number
  /** How long a body may take. */
  seconds: number
}

/** A request's whole body, or why there is none. */
export type Body = Buffer | 'too_large' | 'too_slow'

/**
 * Creates the reader of requests' bodies. Node's own limit is for head and body together, and looked
 * at rarely.
 *
 * @returns A function that calls `done` once, unless the client leaves first.
 */
export function createBodyReader({ bytes, seconds }: BodyLimits, clock: Clock) {
  const deadlines = createDeadlines<(body: Body) => void>(clock, seconds * 1000, (finish) =>
    finish('too_slow'),
  )

  return (request: IncomingMessage, done: (body: Body) => void): void => {
    const chunks: Buffer[] = []
    let size = 0
    let isOver = false
    const finish = (body: Body) => {
      if (isOver) return
      isOver = true
      deadlines.delete(finish)
      chunks.length = 0
      done(body)
    }
    if (Number(request.headers['content-length'] ?? 0) > bytes) return finish('too_large')
    deadlines.add(finish)
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > bytes) finish('too_large')
      else if (!isOver) chunks.push(chunk)
    })
    request.on('end', () => {
      finish(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    })
    request.on('close', () => deadlines.delete(finish))
  }
}
