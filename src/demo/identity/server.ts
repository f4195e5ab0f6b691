import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { sleep } from '../../util/async.js'
import { messageOf, ProxyError } from '../../util/errors.js'
import { isObject } from '../../util/json.js'
import { isLoopback } from '../../util/private-addresses.js'
import { parseRequestTarget, type RequestTarget } from '../../util/url-text.js'
import {
  authorization,
  type IdentityCall,
  type IdentityReply,
  json,
  mediaType,
  parseFlatJson,
  readBody,
} from './http.js'
import type { Failure, IdentityOptions } from './options.js'
import type { RecordedRequest } from './records.js'
import { EmulatorRefusal, renderRefusal } from './refusals.js'
import { answerCall, type Routes } from './routes.js'
import type { State } from './state.js'

/** Limit of recorded requests; beyond it the oldest are dropped. */
const RECORDED_LIMIT = 10_000

/** The latest of them keep their bodies, up to this many. */
const BODIES_LIMIT = 1_000

/** Longer bodies are recorded as text, which takes less memory than their parsed form. */
const PARSED_LIMIT = 8_192

/**
 * Creates the emulator's HTTP server and listens.
 *
 * @throws {ProxyError} `LISTEN_FAILED`
 */
export async function listenIdentity(
  { host, port }: IdentityOptions,
  state: State,
  routes: Routes,
): Promise<Server> {
  const server = createServer((request, response) => {
    handle(state, routes, request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `Cannot listen on ${host}:${port}: ${messageOf(cause)}`
      reject(new ProxyError('LISTEN_FAILED', message, { hint: 'Choose another port.', cause }))
    })
    server.listen(port, host, resolve)
  })
  return server
}

async function handle(
  state: State,
  routes: Routes,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { path, query } = parseRequestTarget(request.url) ?? NOWHERE
  const method = request.method ?? 'GET'
  if (!isMeant(state.options, request)) {
    const text = 'This Host is not the emulator: a web page may have been led here'
    request.resume()
    return send(response, json(421, { errorMessage: text }))
  }
  const record = recordRequest(state, method, { path, query }, request)
  let call: IdentityCall | undefined
  let reply: IdentityReply | undefined
  try {
    const body = await readBody(request)
    call = { method, path, query, headers: request.headers, body }
    record.body = parseBody(call)
    const isControl = path.startsWith('/__test/')
    const { delayMs } = state.options
    if (delayMs > 0 && !isControl) await sleep(state.clock, delayMs)
    const failure = isControl ? undefined : takeFailure(state, path)
    if (failure === undefined || failure.afterHandling) {
      reply = await answerCall(routes, state, call).catch((error) => errorReply(state, call, error))
    }
    if (failure !== undefined) reply = failureReply(failure)
  } catch (error) {
    reply = errorReply(state, call, error)
  }
  if (reply === undefined) {
    response.destroy()
    return
  }
  if (method !== 'GET') {
    await state.save().catch((error) => {
      reply = errorReply(state, call, error)
    })
  }
  record.status = reply.status
  send(response, reply)
}

/**
 * Tells whether the Host of a request is a name of the emulator. On loopback any other comes from a
 * web page whose name was made to resolve to this machine (DNS rebinding).
 */
function isMeant({ host, publicUrl }: IdentityOptions, { headers }: IncomingMessage): boolean {
  if (!isLoopback(host) || headers.host === undefined) return true
  const url = `http://${headers.host}`
  if (!URL.canParse(url)) return false
  const { hostname } = new URL(url)
  return (
    isLoopback(hostname) || (publicUrl !== undefined && new URL(publicUrl).hostname === hostname)
  )
}

/** Replaces an invalid request target: a path without a route. */
const NOWHERE: RequestTarget = { path: '*', query: new URLSearchParams() }

function recordRequest(
  { requests, clock }: State,
  method: string,
  { path, query }: RequestTarget,
  { headers }: IncomingMessage,
): RecordedRequest {
  const record: RecordedRequest = {
    at: clock.now(),
    method,
    path,
    query: Object.fromEntries(query),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, `${value}`])),
    body: undefined,
    status: 0,
  }
  if (!path.startsWith('/__test/')) requests.push(record)
  if (requests.length > RECORDED_LIMIT) requests.shift()
  const old = requests.at(-1 - BODIES_LIMIT)
  if (old !== undefined) old.body = undefined
  return record
}

function parseBody({ headers, body }: IdentityCall): unknown {
  if (body.length > PARSED_LIMIT) return body
  if (mediaType(headers) === 'application/x-www-form-urlencoded') {
    return Object.fromEntries(new URLSearchParams(body))
  }
  return parseFlatJson(body) ?? body
}

function takeFailure(state: State, path: string): Failure | undefined {
  const failure = state.failures.find((item) => item.times > 0 && path.endsWith(item.path))
  if (failure !== undefined) {
    failure.times--
    state.counters.failures++
  }
  return failure
}

function failureReply({ status, body, retryAfter }: Failure): IdentityReply | undefined {
  if (status === 0) return undefined
  const isHtml = typeof body === 'string' && body.trimStart().startsWith('<')
  return {
    status,
    headers: {
      ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
      ...(typeof body === 'string' ? { 'content-type': isHtml ? 'text/html' : 'text/plain' } : {}),
    },
    body: body ?? { errorMessage: 'This failure is simulated' },
  }
}

function errorReply(state: State, call: IdentityCall | undefined, error: unknown): IdentityReply {
  if (!(error instanceof EmulatorRefusal)) {
    return json(500, { errorMessage: messageOf(error) })
  }
  const { status, body } = renderRefusal(error, state.options.errorStyle)
  const reply = json(status, body)
  if (error.kind === 'use_dpop_nonce') {
    return { ...reply, headers: { ...reply.headers, 'dpop-nonce': state.dpopNonce } }
  }
  // RFC 6749 §5.2: the answer to a client that tried Basic names that scheme
  const basic =
    state.options.errorStyle === 'oauth' &&
    call !== undefined &&
    authorization(call, 'basic') !== undefined
  if (status !== 401 || !basic) return reply
  return { ...reply, headers: { ...reply.headers, 'www-authenticate': 'Basic realm="emulator"' } }
}

function send(response: ServerResponse, { status, headers = {}, body }: IdentityReply): void {
  const isJson = isObject(body) || Array.isArray(body)
  response.writeHead(status, {
    ...(isJson ? { 'content-type': 'application/json; charset=utf-8' } : {}),
    ...headers,
  })
  response.end(isJson ? JSON.stringify(body) : body)
}
