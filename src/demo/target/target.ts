import { createHash, randomUUID, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { ProxyError } from '../../util/errors.js'
import { isLoopback, isLoopbackOrigin, withoutPort } from '../../util/private-addresses.js'
import type { Clock } from '../../util/runtime.js'
import { parseRequestTarget } from '../../util/url-text.js'
import { registerResources } from './resources.js'
import { createTargetSessions, type TargetSessions } from './sessions.js'
import {
  headerNames,
  registerLiveTools,
  registerTools,
  type SeenCredential,
  seenCredentials,
} from './tools.js'

export interface ExampleTargetOptions {
  clock: Clock
  /** Default 127.0.0.1. */
  host?: string
  /** Default 0, which picks a free port. */
  port?: number
  /** When set, requests without it are answered 401. */
  token?: string | undefined
  /** Largest number of sessions. Default 100. */
  maxSessions?: number
  /** How long an unused session is kept, milliseconds. Default 30 minutes. */
  sessionIdleMs?: number
}

export interface ExampleTarget {
  /** The MCP endpoint. */
  readonly url: string
  /** The last 100 requests, oldest first, without values of headers and bodies. */
  readonly requests: readonly SeenRequest[]
  /** Ends all sessions and streams and stops listening. */
  close(): Promise<void>
}

export interface SeenRequest {
  method: string
  path: string
  credentials: SeenCredential[]
  headerNames: string[]
}

const KEPT_REQUESTS = 100

const PATH = /^\/mcp\/?$/

/**
 * Starts the example target: an MCP server over Streamable HTTP, with sessions, for the revisions up
 * to 2025-11-25.
 *
 * @throws {ProxyError} `LISTEN_FAILED` when the port is not available.
 */
export async function startTarget(options: ExampleTargetOptions): Promise<ExampleTarget> {
  const { clock, host = '127.0.0.1', port = 0, token } = options
  const { maxSessions = 100, sessionIdleMs = 30 * 60_000 } = options
  const requests: SeenRequest[] = []
  const sessions = createTargetSessions({ clock, max: maxSessions, idleMs: sessionIdleMs })
  const onLoopback = isLoopback(host)

  const server = createServer((request, response) => {
    const path = parseRequestTarget(request.url)?.path ?? '*'
    requests.push(describeRequest(request, path))
    if (requests.length > KEPT_REQUESTS) requests.shift()
    const refusal = refusalOf(request, { token, onLoopback })
    if (refusal !== undefined) {
      sendError(response, refusal.status, refusal.message, refusal.headers)
    } else if (!PATH.test(path)) {
      sendError(response, 404, 'The MCP endpoint is /mcp')
    } else {
      handle(request, response, sessions, clock).catch(() => {
        if (!response.headersSent) sendError(response, 500, 'Internal error')
      })
    }
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new ProxyError('LISTEN_FAILED', `Cannot listen on ${host}:${port}`, { cause })),
    )
    server.listen(port, host, resolve)
  })
  const bound = (server.address() as AddressInfo).port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}/mcp`,
    requests,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve))
      await sessions.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function handle(
  request: IncomingMessage,
  response: ServerResponse,
  sessions: TargetSessions,
  clock: Clock,
): Promise<void> {
  const id = request.headers['mcp-session-id']?.toString()
  if (id === undefined) {
    const transport = await openSession(sessions, clock)
    await transport.handleRequest(request, response)
    if (transport.sessionId === undefined) await transport.close()
    return
  }
  const transport = sessions.use(id)
  if (transport === undefined) {
    sendError(response, 404, 'Session not found')
    return
  }
  response.once('close', sessions.hold(id))
  await transport.handleRequest(request, response)
}

/** Connects a server of its own to a new transport, which joins the table once it is initialized. */
async function openSession(sessions: TargetSessions, clock: Clock) {
  const transport: StreamableHTTPServerTransport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.add(id, transport),
    onsessionclosed: (id) => sessions.remove(id),
  })
  const server = new McpServer(
    { name: 'example-target', title: 'Example target', version: '1.0.0' },
    {
      capabilities: { logging: {} },
      instructions: 'An example server. Start with the tool whoami, or with the prompt tour.',
    },
  )
  const journal = registerResources(server)
  registerTools(server, journal.write)
  registerLiveTools(server, clock, journal.write)
  await server.connect(transport as Transport)
  return transport
}

function describeRequest({ method = '', headers }: IncomingMessage, path: string): SeenRequest {
  return {
    method,
    path,
    credentials: seenCredentials(headers),
    headerNames: headerNames(headers),
  }
}

function sendError(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Record<string, string> = {},
): void {
  const body = { jsonrpc: '2.0', id: null, error: { code: -32000, message } }
  response.writeHead(status, { ...headers, 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

/** The answer to a request that is refused. */
interface TargetRefusal {
  status: number
  message: string
  headers: Record<string, string>
}

/**
 * Checks the token, if one is required, and on loopback Host and Origin, so that no web page can reach
 * the server through DNS rebinding.
 *
 * @param token Expected as `Authorization: Bearer …` or `X-Api-Key`; `undefined` accepts every request.
 * @returns The refusal, or `undefined` when the request is accepted.
 */
function refusalOf(
  request: Pick<IncomingMessage, 'headers'>,
  { token, onLoopback }: { token: string | undefined; onLoopback: boolean },
): TargetRefusal | undefined {
  const { host = '', origin } = request.headers
  if (onLoopback && !isLoopback(withoutPort(host))) {
    return { status: 421, message: 'This server answers to loopback names only', headers: {} }
  }
  if (origin !== undefined && !isLoopbackOrigin(origin)) {
    return { status: 403, message: 'Requests from this origin are not allowed', headers: {} }
  }
  if (token === undefined || sentTokens(request).some((sent) => isSame(sent, token))) {
    return undefined
  }
  const reason = sentTokens(request).length === 0 ? '' : ', error="invalid_token"'
  const headers = { 'www-authenticate': `Bearer realm="example target"${reason}` }
  return { status: 401, message: 'This server needs its API token', headers }
}

function sentTokens({ headers }: Pick<IncomingMessage, 'headers'>): string[] {
  const bearer = /^bearer +(\S.*)$/i.exec(headers.authorization ?? '')?.[1]
  const key = headers['x-api-key']
  return [bearer, typeof key === 'string' ? key : undefined].filter((sent) => sent !== undefined)
}

/** Compares in constant time. */
function isSame(sent: string, expected: string): boolean {
  return timingSafeEqual(digest(sent), digest(expected))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
