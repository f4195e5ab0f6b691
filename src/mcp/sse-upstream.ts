import { codedError } from '../http/failure.js'
import { headerPairs } from '../http/header-pairs.js'
import type { Upstream, UpstreamHandler, UpstreamRequest } from '../http/pool.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import type { Clock } from '../util/runtime.js'
import { SseCall } from './sse-call.js'
import { type Opening, openSseStream, type SseStream } from './sse-stream.js'

export interface SseUpstreamOptions {
  clock: Pick<Clock, 'after'>
  url: URL
  /** Opens the connections to a URL of the server. */
  connect: (url: URL) => Promise<Upstream>
}

/** An old server that looks like a new one. */
export interface SseUpstream extends Upstream {
  /** Opens a stream with the credential of a request; the request is not sent. */
  open(request: Pick<UpstreamRequest, 'headers'>): Promise<Opening>
}

/** Belongs to one request, and not to the stream. */
const OF_REQUEST = /^(accept|content-type|content-length|mcp-.*|last-event-id)$/
const MAX_WAITING = 100

/** One open stream, which is what a session is here. */
interface Session {
  readonly id: string
  readonly stream: SseStream
  readonly posts: Upstream
  readonly calls: Map<string | number, SseCall>
  isUsed: boolean
}

/**
 * Makes a server of the transport before Streamable HTTP look like one of today: each POST gets its
 * own answer, matched by id; what the server sends by itself comes on GET; a stream that broke is a
 * session that is not known any more (404).
 */
export function createSseUpstream({ clock, url, connect }: SseUpstreamOptions): SseUpstream {
  let session: Session | undefined
  let opening: Promise<Opening> | undefined
  let streams: Upstream | undefined
  let count = 0
  const waiting: string[] = []
  const listeners = new Set<SseCall>()

  const open = async ({ headers }: Pick<UpstreamRequest, 'headers'>): Promise<Opening> => {
    streams ??= await connect(url)
    const calls = new Map<string | number, SseCall>()
    let mine: Session | undefined
    const opened = await openSseStream({
      clock,
      url,
      upstream: streams,
      headers: headerPairs(headers)
        .filter(([name]) => !OF_REQUEST.test(name.toLowerCase()))
        .flat(),
      onMessage: (data) => take(calls, data),
      onEnd() {
        for (const call of calls.values()) call.fail(codedError('ECONNRESET'))
        if (session === mine) end()
      },
    })
    if (opened.kind !== 'open') return opened
    end()
    count += 1
    const posts = await connect(opened.stream.endpoint)
    mine = { id: `sse-${count}`, stream: opened.stream, posts, calls, isUsed: false }
    session = mine
    return opened
  }

  const openOnce = (request: UpstreamRequest) => {
    opening ??= open(request).finally(() => {
      opening = undefined
    })
    return opening
  }

  function end(): void {
    session?.stream.close()
    void session?.posts.close()
    session = undefined
    for (const listener of listeners) listener.end()
    listeners.clear()
  }

  function take(calls: Map<string | number, SseCall>, data: string): void {
    const message = tryParseJson(data)
    if (!isObject(message)) return
    const { id } = message
    if (!('method' in message) && (typeof id === 'string' || typeof id === 'number')) {
      return calls.get(id)?.answer(data, session?.id)
    }
    const [listener] = listeners
    if (listener !== undefined) listener.event(data)
    else if (waiting.length < MAX_WAITING) waiting.push(data)
  }

  async function post(request: UpstreamRequest, call: SseCall): Promise<void> {
    const message = tryParseJson(request.body?.toString() ?? '')
    const isStart = isObject(message) && message['method'] === 'initialize'
    if (session === undefined || (isStart && session.isUsed)) {
      const opened = await openOnce(request)
      if (opened.kind === 'refused') return call.respond(opened.status, opened.headers)
      if (opened.kind === 'failed') return call.fail(opened.error)
    }
    const current = session
    if (current === undefined || call.isOver) return call.fail(codedError('ECONNRESET'))
    current.isUsed ||= isStart
    call.post(request, current.posts, current.calls, requestId(message))
  }

  return {
    open,
    send(request, handler: UpstreamHandler) {
      const call = new SseCall(handler, clock, request.headersTimeout)
      const given = headerPairs(request.headers).find(([name]) => name === 'mcp-session-id')?.[1]
      if (given !== undefined && given !== session?.id) return call.respond(404, {})
      if (request.method === 'POST') return void post(request, call)
      if (request.method === 'DELETE') {
        end()
        return call.respond(200, {})
      }
      if (session === undefined) return call.respond(405, {})
      listeners.add(call)
      call.listen(() => listeners.delete(call))
      for (const data of waiting.splice(0)) call.event(data)
    },
    async close() {
      for (const call of session?.calls.values() ?? []) call.fail(codedError('ECONNRESET'))
      end()
      await streams?.close()
    },
  }
}

function requestId(message: unknown): string | number | undefined {
  if (!isObject(message) || !('method' in message)) return undefined
  const id = (message as JsonObject)['id']
  return typeof id === 'string' || typeof id === 'number' ? id : undefined
}
