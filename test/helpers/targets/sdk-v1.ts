import { randomUUID } from 'node:crypto'
import { completable } from '@modelcontextprotocol/sdk/server/completable.js'
import type { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { McpServer, ResourceTemplate } from '@modelcontextprotocol/sdk/server/mcp.js'
import {
  type EventStore,
  StreamableHTTPServerTransport,
} from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CreateMessageResultSchema,
  ElicitResultSchema,
  ListRootsResultSchema,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from '@modelcontextprotocol/sdk/types.js'
import * as z from 'zod'
import { tryParseJson } from '../../../src/util/json.js'
import { type Listening, listen } from './listen.js'
import { refuseForeign } from './local-only.js'
import { createRecorder, type Recorder } from './record.js'
import { refuse } from './recording.js'

export interface SdkV1Options {
  name?: string
  /** `none`: a server of its own for each request. Default `required`. */
  sessions?: 'required' | 'none'
  answerWith?: 'json' | 'sse'
  /** Keeps events, so that streams can be resumed. Needs sessions. */
  resumable?: boolean
  /** When clients are to resume, told on each stream of a resumable server. */
  retryMs?: number
  /** Refuses what does not come for, or from, a local name. */
  localOnly?: boolean
  /** Creates the server of a session. Default: one with all that the older revisions have. */
  server?: () => McpServer | Server
}

export interface SdkV1Target extends Recorder, Omit<Listening, 'close'> {
  readonly url: string
  /** Servers by session id. */
  readonly sessions: ReadonlyMap<string, McpServer | Server>
  /** Forgets all sessions without telling anybody. */
  forget(): void
  close(): Promise<void>
}

/** Starts a real server of SDK v1 that uses all that the older revisions have. */
export async function startSdkV1Target(options: SdkV1Options = {}): Promise<SdkV1Target> {
  const { name = 'sdk-v1', sessions: mode = 'required', answerWith = 'sse' } = options
  const recorder = createRecorder()
  const sessions = new Map<string, McpServer | Server>()
  const transports = new Map<string, StreamableHTTPServerTransport>()

  const open = async () => {
    const server = options.server?.() ?? createSdkV1Server(name)
    const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
      ...(mode === 'required' ? { sessionIdGenerator: randomUUID } : {}),
      enableJsonResponse: answerWith === 'json',
      ...(options.resumable ? { eventStore: createEventStore() } : {}),
      ...(options.retryMs !== undefined ? { retryInterval: options.retryMs } : {}),
      onsessioninitialized: (id) => {
        sessions.set(id, server)
        transports.set(id, transport)
      },
      onsessionclosed: (id) => {
        sessions.delete(id)
        transports.delete(id)
      },
    })
    await server.connect(transport as Transport)
    return transport
  }

  const listening = await listen(async (incoming, response) => {
    if (options.localOnly && refuseForeign(incoming, response)) return
    const request = await recorder.record(incoming, response)
    const id = request.sessionId
    const known = id === undefined ? undefined : transports.get(id)
    if (id !== undefined && known === undefined && mode === 'required') {
      refuse(response, 404, -32001, 'Session not found')
      return
    }
    if (request.method !== 'POST' && mode === 'none') {
      refuse(response, 405, -32000, 'Method not allowed')
      return
    }
    const transport = known ?? (await open())
    if (mode === 'none') response.once('close', () => void transport.close())
    await transport.handleRequest(incoming, response, tryParseJson(request.body))
  })

  const closeListening = listening.close
  return Object.assign(Object.create(listening), recorder, {
    url: `${listening.origin}/mcp`,
    sessions,
    forget() {
      sessions.clear()
      transports.clear()
    },
    async close() {
      await Promise.all([...transports.values()].map((transport) => transport.close()))
      await closeListening()
    },
  })
}

const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })
const COLOURS = ['blue', 'black', 'green']
const coloursLike = (typed: string) => COLOURS.filter((colour) => colour.startsWith(typed))

/** Creates the server: tools that ask the client for something, that notify, wait and fail. */
export function createSdkV1Server(name: string): McpServer {
  const server = new McpServer(
    { name, version: '1.0.0' },
    { capabilities: { logging: {}, resources: { subscribe: true } }, instructions: 'Test server.' },
  )
  server.registerTool('echo', { inputSchema: { text: z.string() } }, ({ text: words }) =>
    text(words),
  )
  server.registerTool(
    'add',
    { inputSchema: { a: z.number(), b: z.number() }, outputSchema: { sum: z.number() } },
    ({ a, b }) => ({ ...text(`${a + b}`), structuredContent: { sum: a + b } }),
  )
  server.registerTool('fail', {}, () => ({ ...text('It did not work.'), isError: true }))
  server.registerTool('headers', {}, ({ requestInfo }) =>
    text(JSON.stringify(requestInfo?.headers ?? {})),
  )
  registerAsking(server)
  registerNotifying(server)
  registerContents(server)
  return server
}

/** The session's client is asked on the stream of the call. */
function registerAsking(server: McpServer): void {
  server.registerTool('ask_model', {}, async ({ sendRequest }) => {
    const content = { type: 'text' as const, text: 'Say a word.' }
    const params = { messages: [{ role: 'user' as const, content }], maxTokens: 10 }
    const answer = await sendRequest(
      { method: 'sampling/createMessage', params },
      CreateMessageResultSchema,
    )
    return text(JSON.stringify(answer.content))
  })
  server.registerTool('ask_user', {}, async ({ sendRequest }) => {
    const properties = { name: { type: 'string' as const } }
    const requestedSchema = { type: 'object' as const, properties, required: ['name'] }
    const params = { message: 'Who are you?', requestedSchema }
    const answer = await sendRequest({ method: 'elicitation/create', params }, ElicitResultSchema)
    return text(JSON.stringify({ action: answer.action, content: answer.content ?? null }))
  })
  server.registerTool('ask_roots', {}, async ({ sendRequest }) => {
    const answer = await sendRequest({ method: 'roots/list' }, ListRootsResultSchema)
    return text(JSON.stringify(answer.roots.map((root) => root.uri)))
  })
}

function registerNotifying(server: McpServer): void {
  server.registerTool(
    'progress',
    { inputSchema: { steps: z.number().default(3) } },
    async ({ steps }, { _meta, sendNotification }) => {
      for (let step = 1; step <= steps; step += 1) {
        const level = 'info' as const
        const log = { level, data: `step ${step}` }
        await sendNotification({ method: 'notifications/message', params: log })
        const progressToken = _meta?.progressToken
        if (progressToken === undefined) continue
        const params = { progressToken, progress: step, total: steps }
        await sendNotification({ method: 'notifications/progress', params })
      }
      return text(`${steps} steps`)
    },
  )
  server.registerTool(
    'wait',
    { inputSchema: { ms: z.number() } },
    ({ ms }, { signal }) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => resolve(text('waited')), ms)
        signal.addEventListener('abort', () => {
          clearTimeout(timer)
          server.server.sendLoggingMessage({ level: 'notice', data: 'wait cancelled' }).then(
            () => resolve(text('cancelled')),
            () => resolve(text('cancelled')),
          )
        })
      }),
  )
  const extra = server.registerTool('extra', {}, () => text('extra'))
  extra.disable()
  server.registerTool('toggle_extra', {}, () => {
    if (extra.enabled) extra.disable()
    else extra.enable()
    return text(String(extra.enabled))
  })
  const subscribed = new Set<string>()
  server.server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    subscribed.add(params.uri)
    return {}
  })
  server.server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    subscribed.delete(params.uri)
    return {}
  })
  server.registerTool('touch', { inputSchema: { uri: z.string() } }, async ({ uri }) => {
    if (subscribed.has(uri)) await server.server.sendResourceUpdated({ uri })
    return text(subscribed.has(uri) ? 'told' : 'nobody subscribed')
  })
}

function registerContents(server: McpServer): void {
  server.registerPrompt(
    'paint',
    {
      description: 'Asks for a picture.',
      argsSchema: { colour: completable(z.string(), coloursLike) },
    },
    ({ colour }) => ({
      messages: [{ role: 'user', content: { type: 'text', text: `Paint it ${colour}.` } }],
    }),
  )
  server.registerResource('readme', 'test://readme', { mimeType: 'text/plain' }, (uri) => ({
    contents: [{ uri: uri.href, mimeType: 'text/plain', text: 'Read me.' }],
  }))
  server.registerResource(
    'colour',
    new ResourceTemplate('test://colours/{colour}', {
      list: undefined,
      complete: { colour: coloursLike },
    }),
    { mimeType: 'text/plain' },
    (uri, { colour }) => ({
      contents: [{ uri: uri.href, mimeType: 'text/plain', text: `All about ${colour}.` }],
    }),
  )
}

/** Keeps events in memory, for one session. */
export function createEventStore(): EventStore {
  const events: { streamId: string; eventId: string; message: unknown }[] = []
  return {
    async storeEvent(streamId, message) {
      const eventId = `${streamId}/${events.length}`
      events.push({ streamId, eventId, message })
      return eventId
    },
    async replayEventsAfter(lastEventId, { send }) {
      const at = events.findIndex(({ eventId }) => eventId === lastEventId)
      const streamId = events[at]?.streamId ?? ''
      for (const event of events.slice(at + 1)) {
        if (event.streamId === streamId) await send(event.eventId, event.message as never)
      }
      return streamId
    },
  }
}
