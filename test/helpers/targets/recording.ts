import { randomUUID } from 'node:crypto'
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { isObject, type JsonObject } from '../../../src/util/json.js'
import {
  type Contents,
  capabilitiesOf,
  defaultAnswers,
  RpcFailure,
  withDefaults,
} from './contents.js'
import { createStreams, type EventStream } from './event-stream.js'
import { type Listening, type ListenOptions, listen } from './listen.js'
import { createRecorder, type RecordedRequest, type Recorder } from './record.js'
import type { SseStyle } from './sse-writer.js'

export const SESSION_BASED_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26']

export interface RecordingOptions extends Partial<Contents>, Pick<ListenOptions, 'host' | 'port'> {
  /** `required`: `initialize` gives an id and everything else needs it. Default `none`. */
  sessions?: 'none' | 'required'
  /** How requests are answered. A handler that notifies or asks gets a stream in any case. */
  answerWith?: 'json' | 'sse'
  sse?: SseStyle
  /** `false`: GET is answered 405. Default true. */
  getStream?: boolean
  versions?: string[]
  /** Sent with every answer. */
  headers?: OutgoingHttpHeaders
  handlers?: Record<string, Handler>
  /** Sees each request first; `true` means that it took care of the answer itself. */
  intercept?: (request: RecordedRequest, response: ServerResponse) => boolean | Promise<boolean>
}

/** Returns the result, throws `RpcFailure`, or returns `NO_ANSWER` and leaves the request open. */
export type Handler = (params: JsonObject, exchange: Exchange) => unknown

export const NO_ANSWER = Symbol('no answer')

/** One request that is being answered. */
export interface Exchange {
  readonly request: RecordedRequest
  readonly response: ServerResponse
  readonly id: unknown
  readonly sessionId: string | undefined
  /** Aborts when the client closes the connection. */
  readonly signal: AbortSignal
  /** The event stream of this answer; the first use opens it. */
  readonly stream: EventStream
  notify(method: string, params?: JsonObject): Promise<void>
  /** Sends a request to the client on this stream; resolves with the response it posts. */
  ask(method: string, params?: JsonObject): Promise<JsonObject>
}

export interface RecordingTarget extends Recorder, Omit<Listening, 'close'> {
  /** The MCP endpoint. */
  readonly url: string
  /** Read anew for each answer, so that tests may change it. */
  readonly contents: Contents
  readonly sessions: ReadonlySet<string>
  on(method: string, handler: Handler): void
  intercept(handler: RecordingOptions['intercept']): void
  /** Forgets one session, or all: its next request is answered 404, its GET streams end. */
  forget(sessionId?: string): Promise<void>
  /** Open GET streams, of one session or of all. */
  getStreams(sessionId?: string): EventStream[]
  /** Sends a notification on the GET streams. */
  notify(method: string, params?: JsonObject, sessionId?: string): Promise<void>
  /** Sends a request on the first GET stream; resolves with the response that the client posts. */
  ask(method: string, params?: JsonObject, sessionId?: string): Promise<JsonObject>
  close(): Promise<void>
}

/**
 * Starts a bare MCP server of the older revisions on `node:http`, without any SDK: it records every
 * request byte for byte and answers from a script.
 */
export async function startRecordingTarget(
  options: RecordingOptions = {},
): Promise<RecordingTarget> {
  const { getStream = true, host, port, versions = SESSION_BASED_VERSIONS, headers = {} } = options
  const contents = withDefaults(options)
  const recorder = createRecorder()
  const sessions = new Set<string>()
  const streams = createStreams(options.sse)
  const gets = new Map<EventStream, string | undefined>()
  const asked = new Map<string, (response: JsonObject) => void>()
  let intercept = options.intercept
  const handlers: Record<string, Handler> = {
    ...defaultAnswers(contents),
    initialize: (params, exchange) => {
      if (options.sessions === 'required') {
        const id = `session-${randomUUID()}`
        sessions.add(id)
        exchange.response.setHeader('mcp-session-id', id)
      }
      const wanted = String(params['protocolVersion'])
      return {
        protocolVersion: versions.includes(wanted) ? wanted : versions[0],
        capabilities: capabilitiesOf(contents),
        serverInfo: contents.serverInfo,
        ...(contents.instructions === undefined ? {} : { instructions: contents.instructions }),
      }
    },
    ping: () => ({}),
    'logging/setLevel': () => ({}),
    'resources/subscribe': () => ({}),
    'resources/unsubscribe': () => ({}),
    ...options.handlers,
  }

  const askOn = (stream: EventStream, method: string, params: JsonObject = {}) =>
    new Promise<JsonObject>((resolve) => {
      const id = `ask-${randomUUID()}`
      asked.set(id, resolve)
      void stream.send({ jsonrpc: '2.0', id, method, params })
    })

  const post = async (request: RecordedRequest, response: ServerResponse): Promise<void> => {
    const { message } = request
    if (message === undefined) return refuse(response, 400, -32700, 'Parse error')
    const version = request.headers['mcp-protocol-version']?.toString()
    if (version !== undefined && !versions.includes(version)) {
      return refuse(response, 400, -32000, `Bad Request: Unsupported protocol version: ${version}`)
    }
    if (request.rpc !== 'initialize' && !hasSession(request, response)) return
    if (request.rpc === undefined || !('id' in message)) {
      if (request.rpc === undefined) {
        asked.get(String(message['id']))?.(message)
        asked.delete(String(message['id']))
      }
      response.writeHead(202, headers).end()
      return
    }
    await answer(request, response, message['id'], request.rpc)
  }

  const answer = async (
    request: RecordedRequest,
    response: ServerResponse,
    id: unknown,
    method: string,
  ): Promise<void> => {
    const params = isObject(request.message?.['params']) ? request.message['params'] : {}
    const gone = new AbortController()
    response.once('close', () => {
      if (!response.writableFinished) gone.abort()
    })
    let stream: EventStream | undefined
    const exchange: Exchange = {
      request,
      response,
      id,
      sessionId: request.sessionId,
      signal: gone.signal,
      get stream() {
        stream ??= streams.open(response, headers)
        return stream
      },
      notify: (name, members = {}) =>
        exchange.stream.send({ jsonrpc: '2.0', method: name, params: members }),
      ask: (name, members) => askOn(exchange.stream, name, members),
    }
    let body: JsonObject
    let status = 200
    try {
      const handler = handlers[method]
      if (handler === undefined) throw new RpcFailure(-32601, `Method not found: ${method}`)
      const result = await handler(params, exchange)
      if (result === NO_ANSWER) return
      body = { jsonrpc: '2.0', id, result }
    } catch (error) {
      const failure = error instanceof RpcFailure ? error : new RpcFailure(-32603, String(error))
      body = failure.body(id)
      status = failure.status
    }
    if (stream !== undefined || (options.answerWith === 'sse' && status === 200)) {
      await exchange.stream.send(body)
      await exchange.stream.end()
    } else {
      sendJson(response, status, body, headers)
    }
  }

  const hasSession = (request: RecordedRequest, response: ServerResponse): boolean => {
    if (options.sessions !== 'required') return true
    if (request.sessionId === undefined) {
      refuse(response, 400, -32000, 'Bad Request: Mcp-Session-Id header is required')
      return false
    }
    if (sessions.has(request.sessionId)) return true
    refuse(response, 404, -32001, 'Session not found')
    return false
  }

  const get = (request: RecordedRequest, response: ServerResponse): void => {
    const sent = request.headers['last-event-id']?.toString()
    const last = sent && Buffer.from(sent, 'latin1').toString('utf8')
    if (!getStream) refuse(response, 405, -32000, 'Method not allowed', { allow: 'POST' })
    else if (!hasSession(request, response)) return
    else if (last === undefined || !streams.resume(last, response, headers)) {
      gets.set(streams.open(response, headers), request.sessionId)
    }
  }

  const remove = (request: RecordedRequest, response: ServerResponse): void => {
    if (options.sessions !== 'required') refuse(response, 405, -32000, 'Method not allowed')
    else if (hasSession(request, response)) {
      void forget(request.sessionId)
      response.writeHead(200, headers).end()
    }
  }

  const forget = async (sessionId?: string): Promise<void> => {
    for (const stream of getStreams(sessionId)) await stream.end()
    if (sessionId === undefined) sessions.clear()
    else sessions.delete(sessionId)
  }

  const getStreams = (sessionId?: string) =>
    [...gets]
      .filter(([stream, owner]) => stream.connected && (!sessionId || owner === sessionId))
      .map(([stream]) => stream)

  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await recorder.record(incoming, response)
    if (await intercept?.(request, response)) return
    if (request.method === 'POST') await post(request, response)
    else if (request.method === 'GET') get(request, response)
    else if (request.method === 'DELETE') remove(request, response)
    else refuse(response, 405, -32000, 'Method not allowed')
  }

  const listening = await listen((incoming, response) => void handle(incoming, response), {
    ...(host === undefined ? {} : { host }),
    ...(port === undefined ? {} : { port }),
  })

  return Object.assign(Object.create(listening), recorder, {
    url: `${listening.origin}/mcp`,
    contents,
    sessions,
    on(method: string, handler: Handler) {
      handlers[method] = handler
    },
    intercept(handler: RecordingOptions['intercept']) {
      intercept = handler
    },
    forget,
    getStreams,
    async notify(method: string, params: JsonObject = {}, sessionId?: string) {
      for (const stream of getStreams(sessionId)) {
        await stream.send({ jsonrpc: '2.0', method, params })
      }
    },
    ask(method: string, params: JsonObject = {}, sessionId?: string) {
      const stream = getStreams(sessionId)[0]
      if (stream === undefined) throw new Error('No GET stream is open')
      return askOn(stream, method, params)
    },
  }) as RecordingTarget
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  response.writeHead(status, { ...headers, 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

export function refuse(
  response: ServerResponse,
  status: number,
  code: number,
  message: string,
  headers: OutgoingHttpHeaders = {},
): void {
  sendJson(response, status, { jsonrpc: '2.0', id: null, error: { code, message } }, headers)
}
