import { messagesOf } from './check.js'
import { openConnection } from './connect.js'
import { type Endpoint, PROTOCOL_VERSION, requestHead } from './request.js'
import { ResponseReader } from './response-reader.js'

const READ_BUFFER_BYTES = 8192
const AT_ONCE = 32

export interface SessionsOrder {
  endpoint: Endpoint
  count: number
}

/** Initializes as often as asked; gives the session ids, or none when none are issued. */
export async function openSessions({ endpoint, count }: SessionsOrder): Promise<string[]> {
  const sessions: (string | undefined)[] = []
  let started = 0
  const worker = async () => {
    const exchange = await openExchange(endpoint)
    while (started < count) {
      started += 1
      sessions.push(await initialize(exchange, endpoint))
    }
    exchange.close()
  }
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, worker))
  return sessions.filter((session) => session !== undefined)
}

interface Exchange {
  post(session: string | undefined, message: object): Promise<Answer>
  close(): void
}

interface Answer {
  status: number
  head: string
  body: string
}

async function openExchange(endpoint: Endpoint): Promise<Exchange> {
  const connection = await openConnection(endpoint.port, READ_BUFFER_BYTES)
  let answer: Answer = { status: 0, head: '', body: '' }
  let resolve: (answer: Answer) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const reader = new ResponseReader({
    head: (status, head) => {
      answer = { status, head, body: '' }
    },
    body: (bytes, start, end) => {
      answer.body += bytes.toString('utf8', start, end)
    },
    end: () => resolve(answer),
  })
  connection.onBytes = (bytes) => reader.feed(bytes)
  connection.onError = (error) => reject(error)
  return {
    post: (session, message) =>
      new Promise((onAnswer, onError) => {
        resolve = onAnswer
        reject = onError
        const body = JSON.stringify(message)
        const head = requestHead(endpoint, {
          method: 'POST',
          length: body.length,
          ...(session !== undefined && { session }),
        })
        connection.socket.write(head + body)
      }),
    close: () => connection.socket.destroy(),
  }
}

async function initialize(exchange: Exchange, endpoint: Endpoint): Promise<string | undefined> {
  const opened = await exchange.post(undefined, {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: {
      protocolVersion: PROTOCOL_VERSION,
      capabilities: {},
      clientInfo: { name: 'bench', version: '1.0.0' },
    },
  })
  const contentType = header(opened, 'content-type') ?? ''
  const answered = messagesOf(contentType, opened.body).some((message) => 'result' in message)
  if (!answered) throw new Error(`initialize at ${endpoint.port}: ${opened.status} ${opened.body}`)
  const session = header(opened, 'mcp-session-id')
  const message = { jsonrpc: '2.0', method: 'notifications/initialized' }
  const { status, body } = await exchange.post(session, message)
  if (status !== 202) throw new Error(`notifications/initialized: ${status} ${body}`)
  return session
}

function header({ head }: Answer, name: string): string | undefined {
  return new RegExp(`\\r\\n${name}: *([^\\r]+)`, 'i').exec(head)?.[1]
}
