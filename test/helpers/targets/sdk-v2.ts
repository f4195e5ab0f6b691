import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { ReadableStream } from 'node:stream/web'
import {
  acceptedContent,
  completable,
  createMcpHandler,
  inputRequired,
  inputResponse,
  isLegacyRequest,
  type McpHttpHandler,
  McpServer,
  ResourceTemplate,
  WebStandardStreamableHTTPServerTransport,
} from '@modelcontextprotocol/server'
import * as z from 'zod'
import { type Listening, listen } from './listen.js'
import { refuseForeign } from './local-only.js'
import { createRecorder, type RecordedRequest, type Recorder } from './record.js'
import { createEventStore } from './sdk-v1.js'

export interface SdkOptions {
  name?: string
  answerWith?: 'auto' | 'json' | 'sse'
}

export interface SdkV2Options extends SdkOptions {
  /** What older revisions get. Default `stateless`; sessions can be resumed. */
  legacy?: 'stateless' | 'sessions' | 'reject'
  /** When clients are to resume, told on each stream of a session. */
  retryMs?: number
  /** Refuses what does not come for, or from, a local name. */
  localOnly?: boolean
  /** Creates the server of a request or session. Default: one with all that 2026-07-28 has. */
  server?: (notify: McpHttpHandler['notify']) => McpServer
}

export interface SdkV2Target extends Recorder, Omit<Listening, 'close'> {
  readonly url: string
  /** Publishes changes to whoever listens. */
  readonly notify: McpHttpHandler['notify']
  close(): Promise<void>
}

/** Starts a real server of SDK v2: 2026-07-28 and, unless refused, the older revisions. */
export async function startSdkV2Target(options: SdkV2Options = {}): Promise<SdkV2Target> {
  const { name = 'sdk-v2', legacy = 'stateless', answerWith = 'auto' } = options
  const recorder = createRecorder()
  const createServer = () => options.server?.(handler.notify) ?? createSdkV2Server(name)
  const handler: McpHttpHandler = createMcpHandler(createServer, {
    legacy: legacy === 'sessions' ? 'reject' : legacy,
    responseMode: answerWith,
  })
  const sessions = createSessions(createServer, options)

  const listening = await listen(async (incoming, response) => {
    if (options.localOnly && refuseForeign(incoming, response)) return
    const recorded = await recorder.record(incoming, response)
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    const request = webRequest(recorded, incoming.headers.host, gone.signal)
    const isOld = legacy === 'sessions' && (await isLegacyRequest(request, recorded.message))
    const answer = isOld ? await sessions.fetch(request) : await handler.fetch(request)
    response.writeHead(answer.status, Object.fromEntries(answer.headers))
    response.flushHeaders()
    if (answer.body === null) response.end()
    else {
      const body = Readable.fromWeb(answer.body as ReadableStream)
      body.on('error', () => response.destroy())
      body.pipe(response)
      response.once('close', () => body.destroy())
    }
  })

  const closeListening = listening.close
  return Object.assign(Object.create(listening), recorder, {
    url: `${listening.origin}/mcp`,
    notify: handler.notify,
    async close() {
      await handler.close()
      await sessions.close()
      await closeListening()
    },
  })
}

/** The sessions of the older revisions. */
function createSessions(createServer: () => McpServer, { retryMs }: SdkV2Options) {
  const transports = new Map<string, WebStandardStreamableHTTPServerTransport>()
  const open = async () => {
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: createEventStore() as never,
      ...(retryMs !== undefined ? { retryInterval: retryMs } : {}),
      onsessioninitialized: (id) => void transports.set(id, transport),
      onsessionclosed: (id) => void transports.delete(id),
    })
    await createServer().connect(transport)
    return transport
  }
  return {
    async fetch(request: Request): Promise<Response> {
      const id = request.headers.get('mcp-session-id')
      const known = id === null ? await open() : transports.get(id)
      return known?.handleRequest(request) ?? new Response(null, { status: 404 })
    },
    close: () => Promise.all([...transports.values()].map((transport) => transport.close())),
  }
}

function webRequest(recorded: RecordedRequest, host = 'localhost', signal: AbortSignal): Request {
  const headers = new Headers()
  for (let at = 0; at + 1 < recorded.rawHeaders.length; at += 2) {
    headers.append(recorded.rawHeaders[at] ?? '', recorded.rawHeaders[at + 1] ?? '')
  }
  const hasBody = recorded.method !== 'GET' && recorded.method !== 'HEAD'
  return new Request(`http://${host}${recorded.url}`, {
    method: recorded.method,
    headers,
    signal,
    ...(hasBody ? { body: new Uint8Array(recorded.bytes) } : {}),
  })
}

const text = (words: string) => ({ content: [{ type: 'text' as const, text: words }] })
const COLOURS = ['blue', 'black', 'green']
const coloursLike = (typed: string | undefined) =>
  COLOURS.filter((colour) => colour.startsWith(typed ?? ''))
const PERSON = z.object({ name: z.string() })

/** Creates the server. What it asks of its client, it asks with `input_required`. */
export function createSdkV2Server(name: string): McpServer {
  const server = new McpServer(
    { name, version: '2.0.0' },
    {
      capabilities: {
        logging: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
      },
      instructions: 'Test server.',
    },
  )
  server.registerTool('echo', { inputSchema: { text: z.string() } }, ({ text: words }) =>
    text(words),
  )
  server.registerTool(
    'add',
    {
      inputSchema: z.object({ a: z.number(), b: z.number() }),
      outputSchema: z.object({ sum: z.number() }),
    },
    ({ a, b }) => ({ ...text(`${a + b}`), structuredContent: { sum: a + b } }),
  )
  server.registerTool('fail', {}, () => ({ ...text('It did not work.'), isError: true }))
  server.registerTool(
    'regional',
    {
      description: 'Wants its region in a header.',
      inputSchema: z.object({ region: z.string().meta({ 'x-mcp-header': 'Region' }) }),
    },
    ({ region }) => text(region),
  )
  registerAsking(server)
  registerNotifying(server)
  registerContents(server)
  return server
}

function registerAsking(server: McpServer): void {
  server.registerTool('ask_user', {}, (ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, 'person')
    if (answer.kind === 'missing') {
      const person = inputRequired.elicit({ message: 'Who are you?', requestedSchema: PERSON })
      return inputRequired({ inputRequests: { person }, requestState: 'asked-once' })
    }
    const content = acceptedContent(ctx.mcpReq.inputResponses, 'person', PERSON) ?? null
    return text(JSON.stringify({ kind: answer.kind, content }))
  })
  server.registerTool('ask_model', {}, (ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, 'word')
    if (answer.kind !== 'missing') return text(JSON.stringify(answer))
    const content = { type: 'text' as const, text: 'Say a word.' }
    const messages = [{ role: 'user' as const, content }]
    const word = inputRequired.createMessage({ messages, maxTokens: 10 })
    return inputRequired({ inputRequests: { word } })
  })
  server.registerTool('ask_roots', {}, (ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, 'roots')
    if (answer.kind !== 'missing') return text(JSON.stringify(answer))
    return inputRequired({ inputRequests: { roots: inputRequired.listRoots() } })
  })
}

function registerNotifying(server: McpServer): void {
  server.registerTool(
    'progress',
    { inputSchema: z.object({ steps: z.number().default(3) }) },
    async ({ steps }, { mcpReq }) => {
      for (let step = 1; step <= steps; step += 1) {
        await mcpReq.log('info', `step ${step}`)
        const progressToken = mcpReq._meta?.progressToken
        if (progressToken === undefined) continue
        const params = { progressToken, progress: step, total: steps }
        await mcpReq.notify({ method: 'notifications/progress', params })
      }
      return text(`${steps} steps`)
    },
  )
  server.registerTool(
    'wait',
    { inputSchema: z.object({ ms: z.number() }) },
    ({ ms }, { mcpReq }) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => resolve(text('waited')), ms)
        mcpReq.signal.addEventListener('abort', () => {
          clearTimeout(timer)
          resolve(text('cancelled'))
        })
      }),
  )
}

function registerContents(server: McpServer): void {
  server.registerPrompt(
    'paint',
    {
      description: 'Asks for a picture.',
      argsSchema: z.object({ colour: completable(z.string(), coloursLike) }),
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
