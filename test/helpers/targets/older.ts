import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { JsonObject } from '../../../src/util/json.js'
import { type Listening, listen } from './listen.js'
import { createRecorder, type Recorder } from './record.js'

export interface OlderOptions {
  /** Status of a POST to the stream's URL. Default 405. */
  postStatus?: number
  postBody?: string
  /** What the first event names; `undefined` is the usual endpoint. */
  endpoint?: string
}

export interface OlderTarget extends Recorder, Omit<Listening, 'close'> {
  readonly url: string
  readonly streams: ReadonlyMap<string, ServerResponse>
  /** Sends a message on all streams. */
  send(message: JsonObject): void
  /** Cuts all streams. */
  cut(): void
  close(): Promise<void>
}

/** Starts a server of 2024-11-05: HTTP with SSE, and nothing newer. */
export async function startOlderTarget(options: OlderOptions = {}): Promise<OlderTarget> {
  const { postStatus = 405, postBody = 'Method Not Allowed' } = options
  const recorder = createRecorder()
  const streams = new Map<string, ServerResponse>()
  const write = (response: ServerResponse | undefined, event: string, data: string) =>
    response?.write(`event: ${event}\r\ndata: ${data}\r\n\r\n`)

  const open = (response: ServerResponse) => {
    const id = randomUUID()
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    streams.set(id, response)
    response.once('close', () => streams.delete(id))
    write(response, 'endpoint', options.endpoint ?? `/messages?session=${id}`)
  }

  const answer = (message: JsonObject) => {
    const { id, method, params } = message
    if (method === 'initialize') {
      const serverInfo = { name: 'older', version: '1.0.0' }
      return {
        id,
        result: { protocolVersion: '2024-11-05', capabilities: { tools: {} }, serverInfo },
      }
    }
    if (method === 'tools/call') {
      const text = JSON.stringify(params)
      return { id, result: { content: [{ type: 'text', text }] } }
    }
    if (method === 'tools/list') {
      return { id, result: { tools: [{ name: 'echo', inputSchema: { type: 'object' } }] } }
    }
    return { id, error: { code: -32601, message: 'Method not found' } }
  }

  const handle = async (incoming: IncomingMessage, response: ServerResponse) => {
    const { method, url, message } = await recorder.record(incoming, response)
    const at = new URL(url, 'http://any')
    if (method === 'GET' && at.pathname === '/sse') return open(response)
    if (method !== 'POST' || at.pathname !== '/messages') {
      response.writeHead(postStatus, { 'content-type': 'text/plain' }).end(postBody)
      return
    }
    const stream = streams.get(at.searchParams.get('session') ?? '')
    if (stream === undefined) {
      response.writeHead(404).end('no session')
      return
    }
    response.writeHead(202).end('Accepted')
    if (message === undefined || message['id'] === undefined || !('method' in message)) return
    write(stream, 'message', JSON.stringify({ jsonrpc: '2.0', ...answer(message) }))
  }

  const listening = await listen((incoming, response) => void handle(incoming, response))
  return Object.assign(Object.create(listening), recorder, {
    url: `${listening.origin}/sse`,
    streams,
    send(message: JsonObject) {
      for (const stream of streams.values()) {
        write(stream, 'message', JSON.stringify({ jsonrpc: '2.0', ...message }))
      }
    },
    cut() {
      for (const stream of streams.values()) stream.destroy()
    },
  }) as OlderTarget
}
