import {
  Client,
  type ClientOptions,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client'
import { META } from '../../src/mcp/meta.js'
import { STATELESS_VERSION } from '../../src/mcp/versions.js'
import type { Stack } from './stack.js'
import { eventually } from './targets/eventually.js'
import { send } from './targets/raw-client.js'

/** Connects a client of SDK v2 that is signed in. */
export async function connectV2(
  at: Stack,
  mode: 'auto' | { pin: string },
  options: ClientOptions = {},
): Promise<Client> {
  const client = new Client(
    { name: 'test', version: '1' },
    { ...options, versionNegotiation: { mode } },
  )
  const headers = { authorization: `Bearer ${await at.token()}` }
  await client.connect(
    new StreamableHTTPClientTransport(new URL(at.url), { requestInit: { headers } }),
  )
  return client
}

/** What a client of 2026-07-28 says of itself with each request. */
export const envelope = (version: string = STATELESS_VERSION, capabilities: object = {}) => ({
  [META.version]: version,
  [META.clientInfo]: { name: 'test', version: '1' },
  [META.clientCapabilities]: capabilities,
})

/** Makes a request of the stateless era. */
export const modernRequest = (method: string, params: object = {}, capabilities?: object) => ({
  jsonrpc: '2.0',
  id: 'm-1',
  method,
  params: { ...params, _meta: envelope(STATELESS_VERSION, capabilities) },
})

type Message = { method: string; params: { name?: string; uri?: string; taskId?: string } }
type Headers = Record<string, string | undefined>

/** The headers of a client that is signed in; `changed` replaces some, or leaves them out. */
async function headersOf(at: Stack, message: object, changed: Headers) {
  const { method, params } = message as Message
  const name = params.name ?? params.uri ?? params.taskId
  const all = {
    authorization: `Bearer ${await at.token()}`,
    'mcp-protocol-version': STATELESS_VERSION,
    'mcp-method': method,
    ...(name === undefined ? {} : { 'mcp-name': name }),
    ...changed,
  }
  return Object.fromEntries(
    Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

/** Posts a request of the stateless era and reads its answer, the last event of a stream if it is one. */
export async function postStateless(at: Stack, message: object, changed: Headers = {}) {
  const answer = await send(at.url, {
    body: message,
    headers: await headersOf(at, message, changed),
  })
  const events = answer.body.split('\n').filter((line) => line.startsWith('data: '))
  const text = events.at(-1)?.slice('data: '.length) ?? answer.body
  return { status: answer.status, message: JSON.parse(text), text }
}

/** A stream of the stateless era that a test reads as it comes. */
export interface OpenStream {
  readonly status: number
  /** All messages so far. */
  readonly messages: { id?: unknown; method?: string; params?: unknown; result?: unknown }[]
  /** How it ended; `undefined` while it is open. */
  readonly end: 'finished' | 'cut' | undefined
  /** Waits for so many messages. */
  until(count: number): Promise<void>
  close(): void
}

/** Opens `subscriptions/listen` and the like; `read: false` leaves what comes unread. */
export async function openModern(
  at: Stack,
  message: object,
  options: { read: boolean } = { read: true },
): Promise<OpenStream> {
  const abort = new AbortController()
  const headers = {
    ...(await headersOf(at, message, {})),
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  }
  const body = JSON.stringify(message)
  const response = await fetch(at.url, { method: 'POST', signal: abort.signal, headers, body })
  const messages: OpenStream['messages'] = []
  let end: OpenStream['end']
  const read = async () => {
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString('utf8')
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines)
        if (line.startsWith('data: ')) messages.push(JSON.parse(line.slice(6)))
    }
    if (text.startsWith('{')) messages.push(JSON.parse(text))
  }
  const reading = options.read ? read() : new Promise<void>(() => undefined)
  void reading.then(
    () => {
      end = 'finished'
    },
    () => {
      end = 'cut'
    },
  )
  return {
    status: response.status,
    messages,
    get end() {
      return end
    },
    until: (count) =>
      eventually(() => {
        if (messages.length < count) throw new Error(`${messages.length} of ${count} messages`)
      }),
    close: () => abort.abort(),
  }
}
