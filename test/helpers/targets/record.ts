import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { isObject, type JsonObject, tryParseJson } from '../../../src/util/json.js'

/** One request, exactly as it came over the wire. */
export interface RecordedRequest {
  method: string
  /** Path and query. */
  url: string
  /** Names and values in turn, as they were sent. */
  rawHeaders: string[]
  /** Lower-case names; repeated headers joined as Node does. */
  headers: IncomingHttpHeaders
  bytes: Buffer
  body: string
  /** The body, when it is a JSON object. */
  message: JsonObject | undefined
  /** The message's `method`; `undefined` for responses and for requests without a body. */
  rpc: string | undefined
  sessionId: string | undefined
  /** Which connection it came on; 1 is the first one. */
  socket: number
  /** The client went away before its answer was complete. */
  aborted: boolean
  /** Settles when the answer was sent, or the client went away. */
  closed: Promise<'finished' | 'aborted'>
}

export interface Recorder {
  requests: RecordedRequest[]
  /** Reads a request to its end and keeps it. */
  record(request: IncomingMessage, response: ServerResponse): Promise<RecordedRequest>
  /** The requests whose message has this `method`. */
  of(rpc: string): RecordedRequest[]
  /** Resolves with the first request that fits, whether it came already or comes later. */
  until(fits: (request: RecordedRequest) => boolean, ms?: number): Promise<RecordedRequest>
  clear(): void
}

/** Creates the memory of a target. */
export function createRecorder(): Recorder {
  const requests: RecordedRequest[] = []
  const waiting = new Set<(request: RecordedRequest) => void>()
  const numbers = new WeakMap<Socket, number>()
  let sockets = 0

  const numberOf = (socket: Socket): number => {
    const known = numbers.get(socket)
    if (known !== undefined) return known
    sockets += 1
    numbers.set(socket, sockets)
    return sockets
  }

  return {
    requests,
    async record(request, response) {
      const socket = numberOf(request.socket)
      const closed = new Promise<'finished' | 'aborted'>((resolve) => {
        response.once('close', () => resolve(response.writableFinished ? 'finished' : 'aborted'))
      })
      const bytes = await readAll(request)
      const body = bytes.toString('utf8')
      const parsed = tryParseJson(body)
      const message = isObject(parsed) ? parsed : undefined
      const recorded: RecordedRequest = {
        method: request.method ?? '',
        url: request.url ?? '',
        rawHeaders: request.rawHeaders,
        headers: request.headers,
        bytes,
        body,
        message,
        rpc: typeof message?.['method'] === 'string' ? message['method'] : undefined,
        sessionId: request.headers['mcp-session-id']?.toString(),
        socket,
        aborted: false,
        closed,
      }
      void closed.then((how) => {
        recorded.aborted = how === 'aborted'
      })
      requests.push(recorded)
      for (const notify of waiting) notify(recorded)
      return recorded
    },
    of: (rpc) => requests.filter((request) => request.rpc === rpc),
    until: (fits, ms = 5_000) =>
      new Promise((resolve, reject) => {
        const known = requests.find(fits)
        if (known !== undefined) {
          resolve(known)
          return
        }
        const timer = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`No such request came within ${ms} ms`))
        }, ms)
        const check = (request: RecordedRequest) => {
          if (!fits(request)) return
          clearTimeout(timer)
          waiting.delete(check)
          resolve(request)
        }
        waiting.add(check)
      }),
    clear() {
      requests.length = 0
    },
  }
}

async function readAll(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
  } catch {
    // The client went away in the middle of its body: what came is what is kept.
  }
  return Buffer.concat(chunks)
}
