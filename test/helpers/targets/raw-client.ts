import { Agent, type IncomingHttpHeaders, request } from 'node:http'

/** What really came back, also when the exchange broke off. */
export interface RawAnswer {
  /** 0 when no headers came. */
  status: number
  headers: IncomingHttpHeaders
  bytes: Buffer
  body: string
  /** Informational responses that came before. */
  informational: number[]
  /** The code of the error that ended the exchange, or `TIMEOUT`. */
  error: string | undefined
}

export interface RawRequest {
  method?: string
  headers?: Record<string, string>
  body?: unknown
  /** Gives up after so many milliseconds and keeps what came. Default 10,000. */
  patienceMs?: number
  agent?: Agent
  maxHeaderSize?: number
}

export const MCP_HEADERS = {
  'content-type': 'application/json',
  accept: 'application/json, text/event-stream',
}

/** Sends one request and never throws. */
export function send(url: string, options: RawRequest = {}): Promise<RawAnswer> {
  const { method = 'POST', headers = {}, body, patienceMs = 10_000 } = options
  const agent = options.agent ?? new Agent()
  return new Promise((resolve) => {
    const answer: RawAnswer = {
      status: 0,
      headers: {},
      bytes: Buffer.alloc(0),
      body: '',
      informational: [],
      error: undefined,
    }
    const finish = (error?: string) => {
      clearTimeout(timer)
      answer.error ??= error
      answer.body = answer.bytes.toString('utf8')
      if (options.agent === undefined) agent.destroy()
      resolve(answer)
    }
    const outgoing = request(url, {
      method,
      agent,
      headers: { ...MCP_HEADERS, ...headers },
      maxHeaderSize: options.maxHeaderSize ?? 16 * 1024,
    })
    const timer = setTimeout(() => {
      finish('TIMEOUT')
      outgoing.destroy()
    }, patienceMs)
    outgoing.on('information', ({ statusCode }) => answer.informational.push(statusCode))
    outgoing.on('continue', () => answer.informational.push(100))
    outgoing.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message))
    outgoing.on('response', (incoming) => {
      answer.status = incoming.statusCode ?? 0
      answer.headers = incoming.headers
      incoming.on('data', (chunk: Buffer) => {
        answer.bytes = Buffer.concat([answer.bytes, chunk])
      })
      incoming.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message))
      incoming.on('end', () => finish())
    })
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** Sends one JSON-RPC request. */
export function call(
  url: string,
  method: string,
  params: unknown = {},
  options: RawRequest = {},
): Promise<RawAnswer> {
  return send(url, { ...options, body: { jsonrpc: '2.0', id: 1, method, params } })
}
