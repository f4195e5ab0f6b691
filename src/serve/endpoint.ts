import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Caller } from '../auth/credentials/credential.js'
import type { Descope } from '../auth/resource-server.js'
import { refusalHeaders, schemeOf, type TokenScheme } from '../auth/verify/challenge-response.js'
import { TokenError, toTokenError } from '../auth/verify/token-error.js'
import { ERROR_CODES, errorResponse } from '../mcp/jsonrpc.js'
import { InvalidMessageError, parseMessage } from '../mcp/message.js'
import type { Clock } from '../util/runtime.js'
import type { TraceSpan } from '../util/span.js'
import type { EndpointOptions } from './endpoint-options.js'
import type { Excess, Occupancy } from './excess.js'
import { HttpExchange, hasBody, isJson } from './http-exchange.js'
import type { Slot } from './limit-store.js'
import { createBodyReader, occupy } from './limits.js'
import type { Possession } from './possession.js'
import { seenOf, shown } from './refuse.js'

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
      const span = exchange.span?.start('authenticate')
      const caller = options.authenticate(request)
      if (!(caller instanceof Promise)) return accept(exchange, caller, span)
      caller
        .then(
          (verified) => accept(exchange, verified, span),
          (error: unknown) => refuseToken(exchange, toTokenError(error), span),
        )
        .catch((error: unknown) => refuseMessage(exchange, error))
    } catch (error) {
      refuseMessage(exchange, error)
    }
  }

  function accept(exchange: HttpExchange, caller: Caller, span?: TraceSpan): void {
    span?.end()
    exchange.caller = caller
    const excess = options.rateLimit(caller.principal)
    if (excess !== undefined) return refuseExcess(exchange, excess)
    const { request } = exchange
    exchange.isUncounted = options.limitStore !== undefined
    if (request.method === 'POST') {
      if (takes(exchange, 'post')) post(exchange)
      return
    }
    if (request.method !== 'GET' && request.method !== 'DELETE') {
      const allow = { allow: 'GET, POST, DELETE, OPTIONS' }
      return refuse(exchange, 405, 'method', `${request.method} is not allowed here`, allow)
    }
    if (hasBody(request)) return refuse(exchange, 400, 'body', `${request.method} takes no body`)
    if (request.method === 'DELETE') {
      return admitted(exchange, undefined, () => gateway.end(exchange))
    }
    if (!options.allowStreams) {
      return refuse(exchange, 405, 'method', 'No streams here', { allow: 'POST, DELETE, OPTIONS' })
    }
    if (takes(exchange, 'stream')) admitted(exchange, 'stream', () => gateway.listen(exchange))
  }

  /** Finds a place for what the request takes, or refuses it. */
  function takes(exchange: HttpExchange, kind: Occupancy): boolean {
    const excess = occupy(options.caps, exchange, kind)
    if (excess !== undefined) refuseExcess(exchange, excess)
    return excess === undefined
  }

  /** Goes on with what took its place, once the store of limits lets it through, too. */
  function admitted(exchange: HttpExchange, kind: Slot | undefined, goOn: () => void): void {
    exchange.isUncounted = false
    const decision = options.limitStore?.admit(exchange, kind)
    const decide = (excess: Excess | undefined) =>
      excess === undefined ? goOn() : refuseExcess(exchange, excess)
    if (!(decision instanceof Promise)) return decide(decision)
    decision.then(decide).catch((error: unknown) => refuseMessage(exchange, error))
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
        const go = () => gateway.post(exchange, message)
        if (message.kind !== 'request') return admitted(exchange, undefined, go)
        const kind = message.method === 'subscriptions/listen' ? 'stream' : 'call'
        if (takes(exchange, kind)) admitted(exchange, kind, go)
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

  function refuseExcess(exchange: HttpExchange, excess: Excess): void {
    const { status, refusal, message, retryAfter } = excess
    refuse(exchange, status, refusal, message, { 'retry-after': String(retryAfter) })
  }

  /** What is refused for its form has to be counted, too. */
  function countRefused(exchange: HttpExchange): void {
    if (exchange.isUncounted) void options.limitStore?.admit(exchange, undefined)
    exchange.isUncounted = false
  }

  function refuseMessage(exchange: HttpExchange, error: unknown): void {
    countRefused(exchange)
    if (error instanceof InvalidMessageError) {
      exchange.refusal = 'message'
      exchange.why = error.wire.message
      exchange.seen = seenOf('message', exchange.request)
      return exchange.reply.json(400, errorResponse(error.id, error.wire))
    }
    const what = error instanceof Error ? error.stack : error
    options.logger.error('internal', `A request failed: ${what}`, { id: exchange.requestId })
    const wire = { code: ERROR_CODES.internalError, message: 'Internal error' }
    exchange.refusal = 'internal'
    exchange.reply.json(500, errorResponse(null, wire))
  }

  function refuseToken(exchange: HttpExchange, error: TokenError, span?: TraceSpan): void {
    span?.end({}, error.reason)
    if (error.reason !== 'missing') exchange.event = 'token_refused'
    exchange.seen = { reason: error.reason, ...error.details }
    const granted = exchange.addsScopes ? [] : error.granted
    const scheme = schemeOf(authorizationOf(exchange.request))
    const headers = refusalHeaders(error, granted, { ...options.challenge(), scheme })
    const refusal = error.reason === 'insufficient_scope' ? 'scope' : error.reason
    refuse(exchange, error.status, refusal, error.message, headers)
  }

  function refuse(
    exchange: HttpExchange,
    status: number,
    refusal: string,
    message: string,
    headers: Record<string, string> = {},
  ): void {
    countRefused(exchange)
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

const NOBODY: Caller = { principal: undefined, accessToken: undefined }

/** How long a connection's last caller is reused for the same token, milliseconds. */
const SAME_CALLER_MS = 1_000

interface LastCaller {
  authorization: string
  caller: Caller
  until: number
}

/**
 * Creates the check of a request's bearer token. Whatever goes wrong is a refusal.
 *
 * @param descope `undefined` switches authentication off.
 * @param possession Where tokens with proofs are taken.
 * @returns The caller, at once when the token was verified lately; else a promise that rejects with
 *   {@link TokenError} only.
 * @see [RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1) Authorization Request Header Field
 */
export function createAuthenticate(
  descope: Pick<Descope, 'authenticate'> | undefined,
  clock: Pick<Clock, 'now'>,
  possession?: Possession,
) {
  /** Clients send the same header on a connection; comparing it is cheaper than hashing it. */
  const lastCallers = new WeakMap<Socket, LastCaller>()

  return (request: IncomingMessage): Caller | Promise<Caller> => {
    if (descope === undefined) return NOBODY
    try {
      const authorization = authorizationOf(request)
      if (possession?.concerns(authorization)) {
        return possession.authenticate(request, () => tokenOf(request, 'DPoP'))
      }
      const last = lastCallers.get(request.socket)
      const isSame = last !== undefined && last.authorization === authorization
      if (isSame && isSingle(request) && clock.now() < last.until) return last.caller
      const accessToken = tokenOf(request, 'Bearer')
      const principal = descope.authenticate(accessToken)
      if (!(principal instanceof Promise)) {
        const caller = { principal, accessToken }
        const until = Math.min(principal.expiresAt * 1000, clock.now() + SAME_CALLER_MS)
        if (authorization !== undefined) {
          lastCallers.set(request.socket, { authorization, caller, until })
        }
        return caller
      }
      return principal.then(
        (verified) => ({ principal: verified, accessToken }),
        (error: unknown) => Promise.reject(toTokenError(error)),
      )
    } catch (error) {
      return Promise.reject(toTokenError(error))
    }
  }
}

/** Reads own members only, so that nothing on a prototype passes for a header. */
function authorizationOf({ headers }: IncomingMessage): string | undefined {
  return Object.hasOwn(headers, 'authorization') ? headers.authorization : undefined
}

function tokenOf(request: IncomingMessage, scheme: TokenScheme): string {
  const authorization = authorizationOf(request)
  if (authorization === undefined) throw new TokenError('missing', 'An access token is needed')
  if (!isSingle(request)) {
    throw new TokenError('malformed', 'The request has more than one Authorization header')
  }
  const token = authorization.slice(scheme.length + 1).trim()
  const begin = `${scheme} `.toLowerCase()
  if (!authorization.toLowerCase().startsWith(begin) || token === '') {
    const proof = scheme === 'DPoP' ? ', beside a DPoP proof' : ''
    const what = `The Authorization header must be "${scheme} <access token>"${proof}`
    throw new TokenError('malformed', what)
  }
  return token
}

/** Tells whether the request has one Authorization header; Node drops further ones silently. */
function isSingle({ rawHeaders }: IncomingMessage): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === 13 && rawHeaders[i]?.toLowerCase() === 'authorization') count++
  }
  return count < 2
}
