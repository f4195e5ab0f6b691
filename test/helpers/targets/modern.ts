import type { IncomingMessage, ServerResponse } from 'node:http'
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
import { brokenRule, SERVER_INFO_KEY, STATELESS_VERSION, SUBSCRIPTION_KEY } from './modern-rules.js'
import { createRecorder, type RecordedRequest, type Recorder } from './record.js'
import { NO_ANSWER, refuse, sendJson } from './recording.js'
import { type SdkOptions, type SdkV2Target, startSdkV2Target } from './sdk-v2.js'
import type { SseStyle } from './sse-writer.js'

/** Starts the real thing: SDK v2, which refuses all older revisions. */
export function startModernTarget(options: SdkOptions = {}): Promise<SdkV2Target> {
  return startSdkV2Target({ ...options, legacy: 'reject' })
}

export interface ModernRecordingOptions extends Partial<Contents>, Pick<ListenOptions, 'port'> {
  handlers?: Record<string, ModernHandler>
  answerWith?: 'json' | 'sse'
  sse?: SseStyle
  /** Of lists, reads and `server/discover`. Default 60,000. */
  ttlMs?: number
  cacheScope?: 'public' | 'private'
  /** Answers requests that break a rule all the same; they still count as violations. */
  lenient?: boolean
}

/** Returns the result (`resultType` is added), throws `RpcFailure`, or returns `NO_ANSWER`. */
export type ModernHandler = (params: JsonObject, exchange: ModernExchange) => unknown

export interface ModernExchange {
  readonly request: RecordedRequest
  readonly response: ServerResponse
  readonly id: unknown
  /** Aborts when the client closes the connection, which cancels the request. */
  readonly signal: AbortSignal
  readonly stream: EventStream
  notify(method: string, params?: JsonObject): Promise<void>
}

export type ModernInterceptor = (request: RecordedRequest, response: ServerResponse) => boolean

export interface ModernRecordingTarget extends Recorder, Omit<Listening, 'close'> {
  readonly url: string
  readonly contents: Contents
  /** Rules of 2026-07-28 that requests broke, in words. */
  readonly violations: string[]
  /** Open `subscriptions/listen` streams. */
  readonly listeners: number
  on(method: string, handler: ModernHandler): void
  /** Sees each request before it is answered; answers it itself where it returns true. */
  intercept(handler: ModernInterceptor | undefined): void
  /** Tells those who listen for it that a list changed. */
  changed(list: 'tools' | 'prompts' | 'resources'): Promise<void>
  /** Tells those who subscribed that a resource changed. */
  updated(uri: string): Promise<void>
  /** Ends all `subscriptions/listen` streams gracefully, with a result. */
  endListeners(): Promise<void>
  close(): Promise<void>
}

interface Listener {
  id: unknown
  stream: EventStream
  filter: JsonObject
}

const CACHED = /^(server\/discover|resources\/read|.*\/list)$/

/** Starts a bare server of 2026-07-28 that records every request and checks it against the rules. */
export async function startModernRecordingTarget(
  options: ModernRecordingOptions = {},
): Promise<ModernRecordingTarget> {
  const { ttlMs = 60_000, cacheScope = 'public' } = options
  const contents = withDefaults(options)
  const recorder = createRecorder()
  const streams = createStreams(options.sse)
  const violations: string[] = []
  const listeners = new Set<Listener>()
  let interceptor: ModernInterceptor | undefined
  const handlers: Record<string, ModernHandler> = {
    ...defaultAnswers(contents),
    'server/discover': () => ({
      supportedVersions: [STATELESS_VERSION],
      capabilities: capabilitiesOf(contents),
      ...(contents.instructions === undefined ? {} : { instructions: contents.instructions }),
    }),
    'subscriptions/listen': async (params, { id, stream, signal }) => {
      const filter = isObject(params['notifications']) ? params['notifications'] : {}
      const listener = { id, stream, filter }
      listeners.add(listener)
      signal.addEventListener('abort', () => listeners.delete(listener))
      await tell(listener, 'subscriptions/acknowledged', { notifications: filter })
      return NO_ANSWER
    },
    ...options.handlers,
  }

  const tell = ({ id, stream }: Listener, name: string, params: JsonObject = {}) =>
    stream.send({
      jsonrpc: '2.0',
      method: `notifications/${name}`,
      params: { ...params, _meta: { [SUBSCRIPTION_KEY]: id } },
    })

  const complete = (method: string, result: unknown): JsonObject => ({
    resultType: 'complete',
    ...(CACHED.test(method) ? { ttlMs, cacheScope } : {}),
    _meta: { [SERVER_INFO_KEY]: contents.serverInfo },
    ...(isObject(result) ? result : {}),
  })

  const post = async (request: RecordedRequest, response: ServerResponse): Promise<void> => {
    const { message, rpc: method } = request
    if (message === undefined || method === undefined) {
      refuse(response, 400, -32700, 'Not a JSON-RPC request')
      return
    }
    const id = message['id']
    const broken = brokenRule(request, contents.tools)
    if (broken !== undefined) {
      violations.push(`${method}: ${broken.message}`)
      if (!options.lenient) return sendJson(response, broken.status, broken.body(id))
    }
    if (id === undefined) {
      response.writeHead(202).end()
      return
    }
    await answer(request, response, id, method)
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
    const exchange: ModernExchange = {
      request,
      response,
      id,
      signal: gone.signal,
      get stream() {
        stream ??= streams.open(response, { 'x-accel-buffering': 'no' })
        return stream
      },
      notify: (name, members = {}) =>
        exchange.stream.send({ jsonrpc: '2.0', method: name, params: members }),
    }
    let status = 200
    let body: JsonObject
    try {
      const handler = handlers[method]
      if (handler === undefined) {
        throw new RpcFailure(-32601, `Method not found: ${method}`, { status: 404 })
      }
      const result = await handler(params, exchange)
      if (result === NO_ANSWER) return
      body = { jsonrpc: '2.0', id, result: complete(method, result) }
    } catch (error) {
      const failure = error instanceof RpcFailure ? error : new RpcFailure(-32603, String(error))
      status = failure.status
      body = failure.body(id)
    }
    if (stream !== undefined || (options.answerWith === 'sse' && status === 200)) {
      await exchange.stream.send(body)
      await exchange.stream.end()
    } else {
      sendJson(response, status, body)
    }
  }

  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = await recorder.record(incoming, response)
    if (interceptor?.(request, response)) return
    if (request.method === 'POST') await post(request, response)
    else refuse(response, 405, -32000, 'Method not allowed', { allow: 'POST' })
  }

  const { port = 0 } = options
  const listening = await listen((incoming, response) => void handle(incoming, response), { port })

  const own = {
    url: `${listening.origin}/mcp`,
    contents,
    violations,
    intercept(handler: ModernInterceptor | undefined) {
      interceptor = handler
    },
    on(method: string, handler: ModernHandler) {
      handlers[method] = handler
    },
    async changed(list: 'tools' | 'prompts' | 'resources') {
      for (const listener of listeners) {
        if (listener.filter[`${list}ListChanged`] === true) {
          await tell(listener, `${list}/list_changed`)
        }
      }
    },
    async updated(uri: string) {
      for (const listener of listeners) {
        const wanted = listener.filter['resourceSubscriptions']
        if (Array.isArray(wanted) && wanted.includes(uri)) {
          await tell(listener, 'resources/updated', { uri })
        }
      }
    },
    async endListeners() {
      for (const listener of [...listeners]) {
        listeners.delete(listener)
        const result = { resultType: 'complete', _meta: { [SUBSCRIPTION_KEY]: listener.id } }
        await listener.stream.send({ jsonrpc: '2.0', id: listener.id, result })
        await listener.stream.end()
      }
    },
  }
  const target = Object.assign(Object.create(listening), recorder, own)
  return Object.defineProperty(target, 'listeners', { get: () => listeners.size })
}
