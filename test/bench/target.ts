import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { CALL_TOOL, type CallArguments, callFiller, eventData, toolList } from './content.js'
import { serveCommands } from './rpc.js'

/** A bare MCP server: the least that can stand behind a proxy. Run as its own process. */

interface Message {
  id?: number | string
  method: string
  params?: { name?: string; protocolVersion?: string; arguments?: CallArguments }
}

const JSON_TYPE = 'application/json'
const NOTHING: Buffer = Buffer.alloc(0)
const SMALL_BYTES = 16_384
const VERSIONS = ['2025-03-26', '2025-06-18', '2025-11-25']

const authorization = `Bearer ${process.env['BENCH_TARGET_TOKEN']}`
const sessions = new Set<string>()
const streams = new Set<ServerResponse>()
const counts = { initializes: 0, calls: 0, lists: 0, refused: 0, otherMethods: 0 }
let issueSessions = false
let listEnd = listBytes(1)
const callEnds = new Map<number, Buffer>()

const server = createServer((request, response) => {
  if (request.headers.authorization !== authorization) return refuse(response, 401)
  if (request.method === 'POST') return readBody(request, (body) => answer(request, response, body))
  if (request.method === 'GET') return openStream(response)
  sessions.delete(sessionOf(request) ?? '')
  response.writeHead(200, { 'content-length': 0 }).end()
})
server.keepAliveTimeout = 300_000
server.requestTimeout = 0

function refuse(response: ServerResponse, status: number): void {
  counts.refused += 1
  response.writeHead(status, { 'content-length': 0 }).end()
}

function sessionOf(request: IncomingMessage): string | undefined {
  return request.headers['mcp-session-id'] as string | undefined
}

function readBody(request: IncomingMessage, done: (body: Buffer) => void): void {
  const parts: Buffer[] = []
  request.on('data', (part: Buffer) => parts.push(part))
  request.on('end', () => done(parts.length === 1 ? parts[0]! : Buffer.concat(parts)))
}

function openStream(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  response.flushHeaders()
  streams.add(response)
  response.on('close', () => streams.delete(response))
}

function answer(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
  const { id, method, params } = JSON.parse(body.toString()) as Message
  if (method === 'initialize') return initialize(response, id, params?.protocolVersion)
  const session = sessionOf(request)
  if (session === undefined ? issueSessions : !sessions.has(session)) return refuse(response, 404)
  if (id === undefined) {
    response.writeHead(202, { 'content-length': 0 }).end()
  } else if (method === 'tools/call') {
    if (params?.name !== CALL_TOOL) return refuse(response, 400)
    counts.calls += 1
    call(response, id, params.arguments!)
  } else if (method === 'tools/list') {
    counts.lists += 1
    sendJson(response, `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":`, listEnd)
  } else if (method === 'logging/setLevel') {
    sendJson(response, JSON.stringify({ jsonrpc: '2.0', id, result: {} }))
  } else {
    counts.otherMethods += 1
    const error = { code: -32601, message: 'Method not found' }
    sendJson(response, JSON.stringify({ jsonrpc: '2.0', id, error }))
  }
}

function initialize(response: ServerResponse, id: Message['id'], version = ''): void {
  counts.initializes += 1
  const protocolVersion = VERSIONS.includes(version) ? version : VERSIONS.at(-1)
  const serverInfo = { name: 'bench-target', version: '1.0.0' }
  const result = { protocolVersion, capabilities: { tools: {}, logging: {} }, serverInfo }
  const headers: Record<string, string> = {}
  if (issueSessions) {
    headers['mcp-session-id'] = randomUUID()
    sessions.add(headers['mcp-session-id'])
  }
  sendJson(response, JSON.stringify({ jsonrpc: '2.0', id, result }), NOTHING, headers)
}

function call(response: ServerResponse, id: Message['id'], { nonce, size, stream }: CallArguments) {
  const result = `{"content":[{"type":"text","text":"${nonce} `
  const start = `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}`
  let end = callEnds.get(size)
  if (end === undefined) {
    end = Buffer.from(`${callFiller(size)}"}]}}`)
    callEnds.set(size, end)
  }
  if (!stream) return sendJson(response, start, end)
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
  response.write(`event: message\ndata: ${start}${end.toString('latin1')}\n\n`)
  response.end()
}

/** `end` is kept ready: large answers must not cost the target much. */
function sendJson(response: ServerResponse, start: string, end = NOTHING, headers = {}): void {
  const length = start.length + end.length
  response.writeHead(200, { 'content-type': JSON_TYPE, 'content-length': length, ...headers })
  if (length < SMALL_BYTES) {
    response.end(start + end.toString('latin1'))
    return
  }
  response.write(start)
  response.end(end)
}

function listBytes(count: number): Buffer {
  return Buffer.from(`${JSON.stringify({ tools: toolList(count) })}}`)
}

/** Writes events one by one, as fast as the stream takes them. */
function emitMany(stream: ServerResponse, count: number): void {
  let sequence = 0
  const write = () => {
    while (sequence < count) {
      const room = stream.write(`event: message\ndata: ${eventData(sequence)}\n\n`)
      sequence += 1
      if (!room && sequence < count) {
        stream.once('drain', write)
        return
      }
    }
  }
  write()
}

server.listen(0, '127.0.0.1', 4096, () => {
  serveCommands((server.address() as AddressInfo).port, {
    counts: () => counts,
    streams: () => streams.size,
    configure: (wanted: { tools?: number; sessions?: boolean }) => {
      if (wanted.tools !== undefined) listEnd = listBytes(wanted.tools)
      if (wanted.sessions !== undefined) issueSessions = wanted.sessions
    },
    /** @returns The time before the first write, nanoseconds on the machine's monotonic clock. */
    emit: ({ to, count }: { to: 'all' | 'last'; count: number }) => {
      const at = String(process.hrtime.bigint())
      const chosen = to === 'all' ? [...streams] : [...streams].slice(-1)
      for (const stream of chosen) emitMany(stream, count)
      return at
    },
  })
})
