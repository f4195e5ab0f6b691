import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { Server } from '@modelcontextprotocol/sdk/server/index.js'
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import {
  CallToolRequestSchema,
  ListToolsRequestSchema,
  type ServerNotification,
} from '@modelcontextprotocol/sdk/types.js'
import { serveCommands } from '../rpc.js'

/** A relay as most are built: one SDK `Server` and one SDK `Client` per session. No checks. */

const { BENCH_TARGET_URL, BENCH_TARGET_TOKEN } = process.env
const IDENTITY = { name: 'sdk-relay', version: '1.0.0' }
const sessions = new Map<string, StreamableHTTPServerTransport>()

async function openSession(): Promise<StreamableHTTPServerTransport> {
  const client = new Client(IDENTITY)
  const upstream = new StreamableHTTPClientTransport(new URL(BENCH_TARGET_URL!), {
    requestInit: { headers: { authorization: `Bearer ${BENCH_TARGET_TOKEN}` } },
  })
  await client.connect(upstream as Transport)
  const server = new Server(IDENTITY, { capabilities: client.getServerCapabilities() ?? {} })
  server.setRequestHandler(ListToolsRequestSchema, ({ params }) => client.listTools(params))
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => client.callTool(params))
  client.fallbackNotificationHandler = (notification) =>
    server.notification(notification as ServerNotification)
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => {
      sessions.set(id, transport)
    },
  })
  await server.connect(transport as Transport)
  return transport
}

const server = createServer(async (request, response) => {
  const session = request.headers['mcp-session-id'] as string | undefined
  const transport = session === undefined ? await openSession() : sessions.get(session)
  if (transport === undefined) response.writeHead(404, { 'content-length': 0 }).end()
  else await transport.handleRequest(request, response)
})
server.keepAliveTimeout = 300_000
server.listen(0, '127.0.0.1', 4096, () => serveCommands((server.address() as AddressInfo).port))
