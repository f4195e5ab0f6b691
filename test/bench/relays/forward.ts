import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Dispatcher, Pool } from 'undici'
import { serveCommands } from '../rpc.js'

/** The shortest way through: node:http in, undici's pool out, raw handlers, no checks. */

export const targetUrl = new URL(process.env['BENCH_TARGET_URL'] ?? 'http://127.0.0.1')
const pool = new Pool(targetUrl.origin, { bodyTimeout: 0, headersTimeout: 0 })

const HOP_BY_HOP = new Set([
  'connection',
  'host',
  'keep-alive',
  'transfer-encoding',
  'te',
  'expect',
])

export interface Forwarding {
  headers: string[]
  body: Buffer | undefined
  /** Gathers the whole answer and changes it; without it, bytes are passed on as they come. */
  rewrite?: (body: Buffer) => Buffer
}

/** Runs a relay; `prepare` turns what came in into what goes out. */
export function startRelay(
  prepare: (request: IncomingMessage, body: Buffer) => Forwarding | Promise<Forwarding>,
): void {
  const server = createServer((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (part: Buffer) => parts.push(part))
    request.on('end', () => {
      const forwarding = prepare(request, parts.length === 1 ? parts[0]! : Buffer.concat(parts))
      if (!(forwarding instanceof Promise)) return forward(request, response, forwarding)
      forwarding.then(
        (ready) => forward(request, response, ready),
        () => response.writeHead(401, { 'content-length': 0 }).end(),
      )
    })
  })
  server.keepAliveTimeout = 300_000
  server.listen(0, '127.0.0.1', 4096, () => serveCommands((server.address() as AddressInfo).port))
}

/** A client's headers without those of the connection and those named in `except`. */
export function requestHeaders(request: IncomingMessage, except: string[] = []): string[] {
  const kept: string[] = []
  const raw = request.rawHeaders
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!.toLowerCase()
    if (HOP_BY_HOP.has(name) || name === 'content-length' || except.includes(name)) continue
    kept.push(name, raw[index + 1]!)
  }
  return kept
}

function forward(request: IncomingMessage, response: ServerResponse, forwarding: Forwarding) {
  const { headers, body, rewrite } = forwarding
  const gathered: Buffer[] = []
  let cancel: ((reason?: Error) => void) | undefined
  response.on('close', () => {
    if (!response.writableFinished) cancel?.(new Error('client gone'))
  })
  const handler: Dispatcher.DispatchHandler = {
    onConnect(abort) {
      cancel = abort
    },
    onHeaders(status, raw, resume) {
      if (rewrite !== undefined) {
        response.statusCode = status
        for (const [name, value] of pairs(raw)) response.setHeader(name, value)
        return true
      }
      const kept = pairs(raw)
      response.writeHead(status, kept.flat())
      if (!kept.some(([name]) => name.toLowerCase() === 'content-length')) response.flushHeaders()
      response.on('drain', resume)
      return true
    },
    onData(chunk) {
      if (rewrite === undefined) return response.write(chunk)
      gathered.push(chunk)
      return true
    },
    onComplete() {
      if (rewrite === undefined) {
        response.end()
        return
      }
      const changed = rewrite(Buffer.concat(gathered))
      response.setHeader('content-length', changed.length)
      response.end(changed)
    },
    onError() {
      if (response.headersSent) response.destroy()
      else response.writeHead(502, { 'content-length': 0 }).end()
    },
  }
  const method = request.method as Dispatcher.HttpMethod
  pool.dispatch({ path: targetUrl.pathname, method, headers, body: body ?? null }, handler)
}

function pairs(raw: Buffer[]): [string, string][] {
  const kept: [string, string][] = []
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index]!.toString('latin1')
    if (HOP_BY_HOP.has(name.toLowerCase())) continue
    kept.push([name, raw[index + 1]!.toString('latin1')])
  }
  return kept
}
