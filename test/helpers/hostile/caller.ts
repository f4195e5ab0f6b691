import type { JsonObject } from '../../../src/util/json.js'
import type { BridgeProcess } from '../bridge.js'
import type { Stack } from '../stack.js'

/** A message as a caller reads it. */
export interface Heard extends JsonObject {
  id?: unknown
  method?: string
  params?: JsonObject
  result?: JsonObject
  error?: { code: number; message: string }
}

/** Somebody who speaks MCP of 2025-11-25, through `serve` or the bridge. */
export interface Caller {
  /** Requests and notifications, wherever they came. */
  readonly inbox: Heard[]
  /** Answers that nobody waits for. */
  readonly strays: Heard[]
  request(method: string, params?: JsonObject): Promise<Heard>
  send(message: JsonObject): Promise<void>
  /** Opens the stream of what targets send by themselves. */
  open(): Promise<void>
  /** Ends the session, and gives up whatever is still open. */
  close(): Promise<void>
}

/** What a caller answers to a question: the question itself, so that each asker can tell. */
export function answerTo({ id, method, params = {} }: Heard): JsonObject {
  const base = { jsonrpc: '2.0', id }
  if (method === 'elicitation/create') {
    return { ...base, result: { action: 'accept', content: { heard: params['message'] } } }
  }
  return { ...base, error: { code: -32601, message: 'no' } }
}

/** Connects somebody to `serve` who has a token of their own. */
export async function callServe(stack: Stack, sub: string): Promise<Caller> {
  const inbox: Heard[] = []
  const strays: Heard[] = []
  const gone = new AbortController()
  const headers: Record<string, string> = {
    authorization: `Bearer ${await stack.token({ sub })}`,
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  let nextId = 0

  const post = (message: JsonObject) =>
    fetch(stack.url, {
      ...{ method: 'POST', headers, signal: gone.signal },
      body: JSON.stringify({ jsonrpc: '2.0', ...message }),
    })
  const send = async (message: JsonObject) => {
    const response = await post(message)
    await response.text()
    if (response.status !== 202) throw new Error(`${response.status} for a message without answer`)
  }
  const hear = (message: Heard) => {
    if (message.method === undefined) strays.push(message)
    else {
      inbox.push(message)
      if (message.id !== undefined) void send(answerTo(message)).catch(() => undefined)
    }
  }

  return {
    inbox,
    strays,
    send,
    async request(method, params) {
      const id = nextId++
      const response = await post({ id, method, ...(params && { params }) })
      const given = response.headers.get('mcp-session-id')
      if (given !== null) headers['mcp-session-id'] = given
      let answer: Heard | undefined
      for await (const message of messagesOf(response)) {
        if (message.method === undefined && message.id === id && answer === undefined) {
          answer = message
        } else hear(message)
      }
      if (answer === undefined) throw new Error(`${method}: ${response.status} without an answer`)
      return answer
    },
    async open() {
      const response = await fetch(stack.url, {
        signal: gone.signal,
        headers: { ...headers, accept: 'text/event-stream' },
      })
      if (response.status !== 200) throw new Error(`The stream was answered ${response.status}`)
      const read = async () => {
        for await (const message of messagesOf(response)) hear(message)
      }
      void read().catch(() => undefined)
    },
    async close() {
      const { status } = await fetch(stack.url, { method: 'DELETE', headers })
      gone.abort()
      if (status !== 200 && status !== 204) throw new Error(`The end was answered ${status}`)
    },
  }
}

async function* messagesOf(response: Response): AsyncGenerator<Heard> {
  if (!response.headers.get('content-type')?.includes('event-stream')) {
    const text = await response.text()
    if (!text.startsWith('{')) throw new Error(`${response.status}: ${text.slice(0, 200)}`)
    yield JSON.parse(text)
    return
  }
  let rest = ''
  const decoder = new TextDecoder()
  for await (const chunk of response.body ?? []) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      // an event of another kind would be a fault of ours, and fails here
      if (line.startsWith('data:') && line.trim() !== 'data:') yield JSON.parse(line.slice(5))
    }
  }
}

/** A host in front of the bridge. */
export function callBridge(bridge: BridgeProcess): Caller {
  const inbox: Heard[] = []
  const strays: Heard[] = []
  const waiting = new Map<unknown, (message: Heard) => void>()
  let [nextId, read] = [0, 0]

  const look = () => {
    for (const message of bridge.messages().slice(read) as Heard[]) {
      read += 1
      if (message.method === undefined) {
        const settle = waiting.get(message.id)
        waiting.delete(message.id)
        if (settle === undefined) strays.push(message)
        else settle(message)
        continue
      }
      inbox.push(message)
      if (message.id !== undefined) bridge.send(answerTo(message))
    }
  }
  const timer = setInterval(() => {
    try {
      look()
    } catch (error) {
      // a line that is not whole yet is read the next time
      if (!String(error).includes('ends with')) strays.push({ broken: String(error) })
    }
  }, 5)

  return {
    inbox,
    strays,
    request: (method, params) =>
      new Promise((resolve) => {
        const id = nextId++
        waiting.set(id, resolve)
        bridge.send({ id, method, ...(params && { params }) })
      }),
    send: async (message) => bridge.send(message),
    open: async () => undefined,
    async close() {
      clearInterval(timer)
      const { status } = await bridge.end()
      if (status !== 0) throw new Error(`The bridge ended with ${status}`)
    },
  }
}
