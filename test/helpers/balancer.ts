import { Agent, type IncomingMessage, request, type ServerResponse } from 'node:http'
import { listen } from './targets/listen.js'

export interface Balancer {
  readonly origin: string
  /** Replaces the address of a replica. */
  replace(index: number, origin: string): void
  /** Requests that were sent elsewhere, since nothing listened at the first address. */
  readonly refused: number
  close(): Promise<void>
}

/**
 * Starts a round-robin balancer without any stickiness. It tries the next replica only where the
 * connection was refused, so that nothing can have been done; every other failure is the client's.
 */
export async function startBalancer(origins: string[]): Promise<Balancer> {
  const agent = new Agent({ keepAlive: false })
  let refused = 0
  let turn = 0

  function pass(
    incoming: IncomingMessage,
    body: Buffer,
    outgoing: ServerResponse,
    { first, tried }: { first: number; tried: number },
  ): void {
    const { method, headers } = incoming
    const url = new URL(incoming.url ?? '/', origins[(first + tried) % origins.length])
    const sent = request(url, { method, headers, agent })
    sent.on('response', (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      outgoing.flushHeaders()
      answer.on('error', () => outgoing.destroy())
      answer.pipe(outgoing)
    })
    sent.on('error', (error: NodeJS.ErrnoException) => {
      if (outgoing.destroyed) return
      if (error.code === 'ECONNREFUSED' && tried + 1 < origins.length) {
        refused++
        return pass(incoming, body, outgoing, { first, tried: tried + 1 })
      }
      if (outgoing.headersSent) outgoing.destroy()
      else outgoing.writeHead(502).end()
    })
    outgoing.on('close', () => sent.destroy())
    sent.end(body)
  }

  const listening = await listen(async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    pass(incoming, Buffer.concat(chunks), outgoing, { first: turn++, tried: 0 })
  })
  return {
    origin: listening.origin,
    replace(index, origin) {
      origins[index] = origin
    },
    get refused() {
      return refused
    },
    close: () => listening.close(),
  }
}
