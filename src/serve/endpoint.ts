import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../auth/credentials/credential.js'
import type { Principal } from '../auth/principal.js'
import { challengeFor } from '../auth/verify/challenge-response.js'
import { type TokenError, toTokenError } from '../auth/verify/token-error.js'
import type { Gateway } from '../gateway/gateway.js'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import { InvalidMessageError, parseMessage } from '../mcp/message.js'
import type { Logger } from '../util/logger.js'
import type { MemoryBudget } from '../util/memory-budget.js'
import type { Roster } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'
import type { Caps, Occupancy } from './caps.js'
import { createDeadlines, type Deadlines, type Limited } from './deadlines.js'
import { HttpExchange } from './http-exchange.js'
import type { HttpReply } from './http-reply.js'
import { seenOf, shown } from './refuse.js'
import type { createRequestLog } from './request-log.js'

export interface EndpointOptions {
  gateway: Gateway
  authenticate: (request: IncomingMessage) => Caller | Promise<Caller>
  /** Where clients find our metadata, and the scopes to ask for. */
  challenge: () => { resourceMetadata: string; scopes: readonly string[] }
  rateLimit: (principal: Principal | undefined) => number
  caps: Caps
  body: BodyLimits
  /** Longest time for a request, seconds. */
  requestSeconds: number | undefined
  /** GET opens no stream where a platform would cut it (405). */
  allowStreams: boolean
  isDraining: () => boolean
  /** Counts what waits for clients to read it. */
  memory?: MemoryBudget | undefined
  streams: Roster<HttpReply>
  clock: Clock
  logger: Logger
  log: ReturnType<typeof createRequestLog>
}

const RETRY_SECONDS = '5'

/**
 * Creates the handler of the MCP endpoint: authentication first, then the method, then the body.
 * Host and Origin were checked before.
 */
export function createEndpoint(options: EndpointOptions) {
  const { gateway } = options
  const readBody = createBodyReader(options.body, options.clock)

  return (request: IncomingMessage, response: ServerResponse): void => {
    const exchange = new HttpExchange(request, response, options)
    const { requestSeconds: seconds } = options
    if (seconds !== undefined) {
      response.on(
        'close',
        options.clock.after(seconds * 1000, () => exchange.expire(seconds)),
      )
    }
    if (options.isDraining())
      return refuse(exchange, 503, 'draining', 'The server is shutting down')
    try {
      const caller = options.authenticate(request)
      if (!(caller instanceof Promise)) return accept(exchange, caller)
      caller
        .then(
          (verified) => accept(exchange, verified),
          (error: unknown) => refuseToken(exchange, toTokenError(error)),
        )
        .catch((error: unknown) => refuseMessage(exchange, error))
    } catch (error) {
      refuseMessage(exchange, error)
    }
  }

  function accept(exchange: HttpExchange, caller: Caller): void {
    exchange.caller = caller
    const wait = options.rateLimit(caller.principal)
    if (wait > 0) {
      const headers = { 'retry-after': String(wait) }
      return refuse(exchange, 429, 'rate_limit', 'Too many requests', headers)
    }
    const { request } = exchange
    if (request.method === 'POST') {
      if (takes(exchange, 'post')) post(exchange)
      return
    }
    if (request.method !== 'GET' && request.method !== 'DELETE') {
      const allow = { allow: 'GET, POST, DELETE, OPTIONS' }
      return refuse(exchange, 405, 'method', `${request.method} is not allowed here`, allow)
    }
    if (hasBody(request)) return refuse(exchange, 400, 'body', `${request.method} takes no body`)
    if (request.method === 'DELETE') return gateway.end(exchange)
    if (!options.allowStreams) {
      return refuse(exchange, 405, 'method', 'No streams here', { allow: 'POST, DELETE, OPTIONS' })
    }
    if (takes(exchange, 'stream')) gateway.listen(exchange)
  }

  /** Finds a place for what the request takes, or refuses it. */
  function takes(exchange: HttpExchange, kind: Occupancy): boolean {
    const { place } = exchange
    const taken =
      place === undefined ? options.caps.take(exchange.caller.principal, kind) : undefined
    if (taken !== undefined && 'release' in taken) {
      exchange.place = taken
      return true
    }
    const excess = taken ?? place?.become(kind)
    if (excess === undefined) return true
    const { status, refusal, message, retryAfter } = excess
    refuse(exchange, status, refusal, message, { 'retry-after': String(retryAfter) })
    return false
  }

  function post(exchange: HttpExchange): void {
    const { request } = exchange
    if (!isJson(request.headers['content-type'])) {
      const type = shown(request.headers['content-type'])
      const message = `The content type is ${type}; it must be application/json`
      return refuse(exchange, 415, 'content_type', message)
    }
    readBody(request, (body) => {
      if (typeof body === 'string') return refuseBody(exchange, body)
      try {
        const message = parseMessage(body)
        exchange.take(message)
        if (message.kind !== 'request' || takes(exchange, occupancyOf(message.method))) {
          gateway.post(exchange, message)
        }
      } catch (error) {
        refuseMessage(exchange, error)
      }
    })
  }

  function refuseBody(exchange: HttpExchange, problem: 'too_large' | 'too_slow'): void {
    const { bytes, seconds } = options.body
    const headers = { connection: 'close' }
    if (problem === 'too_slow') {
      return refuse(exchange, 408, 'timeout', `The body did not come within ${seconds} s`, headers)
    }
    refuse(exchange, 413, 'body_size', `The body is larger than ${bytes} bytes`, headers)
  }

  function refuseMessage(exchange: HttpExchange, error: unknown): void {
    if (error instanceof InvalidMessageError) {
      exchange.refusal = 'message'
      exchange.why = error.wire.message
      exchange.seen = seenOf('message', exchange.request)
      return exchange.reply.json(400, errorResponse(error.id, error.wire))
    }
    options.logger.error(
      'internal',
      `A request failed: ${error instanceof Error ? error.stack : error}`,
      { id: exchange.requestId },
    )
    const wire = { code: ERROR_CODES.internalError, message: 'Internal error' }
    exchange.refusal = 'internal'
    exchange.reply.json(500, errorResponse(null, wire))
  }

  function refuseToken(exchange: HttpExchange, error: TokenError): void {
    if (error.reason !== 'missing') exchange.event = 'token_refused'
    exchange.seen = { reason: error.reason, ...error.details }
    const header = challengeFor(error, options.challenge())
    const extra: Record<string, string> =
      header === undefined ? { 'retry-after': RETRY_SECONDS } : { 'www-authenticate': header }
    const refusal = error.reason === 'insufficient_scope' ? 'scope' : error.reason
    refuse(exchange, error.status, refusal, error.message, extra)
  }

  function refuse(
    exchange: HttpExchange,
    status: number,
    refusal: string,
    message: string,
    headers: Record<string, string> = {},
  ): void {
    exchange.refusal = refusal
    exchange.why = message
    exchange.seen = { ...seenOf(refusal, exchange.request), ...exchange.seen }
    // what is left of the body is not read: the connection cannot be used again
    if (!exchange.request.complete && exchange.request.method === 'POST') exchange.request.resume()
    const wire = { code: ERROR_CODES.internalError, message }
    if (status === 503) headers['retry-after'] ??= RETRY_SECONDS
    exchange.reply.json(status, errorResponse(exchange.id ?? null, wire), headers)
  }
}

function occupancyOf(method: string): Occupancy {
  return method === 'subscriptions/listen' ? 'stream' : 'call'
}

function isJson(type: string | undefined): boolean {
  if (type === 'application/json') return true
  return type?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}

interface BodyLimits {
  /** Largest body. */
  bytes: number
  /** How long a body may take. */
  seconds: number
}

/** A request's whole body, or why there is none. */
type Body = Buffer | 'too_large' | 'too_slow'

/** One request's body on its way. */
class BodyReading implements Limited {
  place = -1
  end = 0
  readonly #done: (body: Body) => void
  readonly #limit: number
  readonly #deadlines: Deadlines<BodyReading>
  #chunks: Buffer[] = []
  #size = 0
  #isOver = false

  constructor(limit: number, deadlines: Deadlines<BodyReading>, done: (body: Body) => void) {
    this.#limit = limit
    this.#deadlines = deadlines
    this.#done = done
  }

  start(request: IncomingMessage): void {
    if (Number(request.headers['content-length'] ?? 0) > this.#limit) {
      return this.finish('too_large')
    }
    this.#deadlines.add(this)
    request.on('data', (chunk: Buffer) => this.#take(chunk))
    request.on('end', () => {
      const chunks = this.#chunks
      this.finish(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks))
    })
    request.on('close', () => this.#deadlines.delete(this))
  }

  finish(body: Body): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#deadlines.delete(this)
    this.#chunks = []
    this.#done(body)
  }

  #take(chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#size > this.#limit) this.finish('too_large')
    else if (!this.#isOver) this.#chunks.push(chunk)
  }
}

/**
 * Creates the reader of requests' bodies. Node's own limit is for head and body together, and looked
 * at rarely.
 *
 * @returns A function that calls `done` once, unless the client leaves first.
 */
function createBodyReader({ bytes, seconds }: BodyLimits, clock: Clock) {
  const deadlines = createDeadlines<BodyReading>(clock, seconds * 1000, (reading) =>
    reading.finish('too_slow'),
  )
  return (request: IncomingMessage, done: (body: Body) => void): void =>
    new BodyReading(bytes, deadlines, done).start(request)
}
