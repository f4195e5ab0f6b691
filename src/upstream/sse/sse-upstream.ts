import { randomUUID } from 'node:crypto'
import type { MemoryBudget } from '../../util/memory-budget.js'
import type { Clock } from '../../util/runtime.js'
import { type CookieJar, withCookies } from '../http/cookie-jar.js'
import { loadFailure, PendingCall } from '../shared/pending-call.js'
import {
  isRequest,
  readSharedRequest,
  refuseStateless,
  type SharedRequest,
  sessionLost,
  sessionRequired,
} from '../shared/shared-request.js'
import {
  headerPairs,
  SSE_SESSION,
  type Upstream,
  type UpstreamHandler,
  type UpstreamRequest,
} from '../upstream.js'
import { UpstreamError } from '../upstream-error.js'
import { SseSession } from './sse-session.js'
import { type OpeningStream, openSseStream } from './sse-stream.js'

export interface SseUpstreamOptions {
  clock: Pick<Clock, 'after'>
  url: URL
  /** Opens the connections to a URL of the server. */
  connect: (url: URL) => Promise<Upstream>
  /** After how many milliseconds an idle stream is closed; without it, never. */
  idleMs?: number
  /** Makes the cookies of one session, where the connections keep none themselves. */
  newJar?: () => CookieJar
  /** What may wait in memory for clients. */
  memory?: MemoryBudget | undefined
}

/** A server of HTTP+SSE that looks like one of Streamable HTTP. */
export interface SseUpstream extends Upstream {
  /** Opens a stream and closes it again, to find out whether the server speaks HTTP+SSE. */
  probe(request: Pick<UpstreamRequest, 'headers'>): Promise<OpeningStream>
}

/** Headers that belong to one request, and not to the stream. */
const OF_REQUEST = /^(accept|content-type|content-length|mcp-.*|last-event-id)$/

const MAX_STREAMS = 10_000

/**
 * Makes a server of HTTP+SSE look like one of Streamable HTTP: each `initialize` opens a stream, which
 * is a session; each POST gets its own answer, matched by id; what the server sends by itself comes on
 * GET. A session whose stream broke is lost.
 */
export function createSseUpstream(options: SseUpstreamOptions): SseUpstream {
  const { clock, url, connect, idleMs = 0, newJar, memory } = options
  const sessions = new Map<string, SseSession>()
  let connecting: Promise<Upstream> | undefined
  /** How many streams are being opened. */
  let opening = 0

  const open = async (
    { headers }: Pick<UpstreamRequest, 'headers'>,
    onMessage: (data: string) => void,
    onEnd: (error?: Error) => void,
    jar?: CookieJar,
  ): Promise<OpeningStream> => {
    connecting ??= connect(url)
    const ofStream = headerPairs(headers).filter(([name]) => !OF_REQUEST.test(name.toLowerCase()))
    const upstream = keepCookies(await connecting, url, jar)
    const streamHeaders = ofStream.flat()
    return openSseStream({ clock, url, upstream, memory, headers: streamHeaders, onMessage, onEnd })
  }

  async function start(incoming: SharedRequest): Promise<void> {
    const { request, call } = incoming
    if (sessions.size + opening >= MAX_STREAMS) {
      const reason = `all ${MAX_STREAMS} streams that it may have are open`
      return call.fail(new UpstreamError('http_status', reason, 429))
    }
    let session: SseSession | undefined
    const jar = newJar?.()
    opening += 1
    const opened = await open(
      request,
      (data) => session?.take(data),
      (error) => session?.end(error),
      jar,
    ).finally(() => {
      opening -= 1
    })
    if (opened.kind === 'refused') return call.respond(opened.status, opened.headers)
    if (opened.kind === 'failed') return call.fail(opened.error)
    const { stream } = opened
    if (call.isOver) return stream.close()
    const id = `${SSE_SESSION}${randomUUID()}`
    const posts = keepCookies(await connect(stream.endpoint), stream.endpoint, jar)
    const onEnd = () => sessions.delete(id)
    session = new SseSession({ clock, stream, posts, incoming, idleMs, memory, onEnd })
    sessions.set(id, session)
    call.sessionId = id
    session.post(incoming)
  }

  function post(incoming: SharedRequest): void {
    const { call, message, sessionId, statelessVersion } = incoming
    if (message === undefined) return call.respond(400, {})
    if (statelessVersion !== undefined) return refuseStateless(incoming)
    if (sessionId === undefined) {
      if (message['method'] !== 'initialize') return call.fail(sessionRequired())
      start(incoming).catch((error) => call.fail(loadFailure(error)))
      return
    }
    const session = sessions.get(sessionId)
    if (session === undefined) return call.fail(sessionLost())
    if (isRequest(message)) call.sessionId = sessionId
    session.post(incoming)
  }

  return {
    async probe(request) {
      const ignore = () => {}
      const opened = await open(request, ignore, ignore)
      if (opened.kind === 'open') opened.stream.close()
      return opened
    },
    send(request, handler: UpstreamHandler) {
      const call = new PendingCall(handler, clock, request, memory)
      const incoming = readSharedRequest(request, call)
      if (request.method === 'POST') return post(incoming)
      const session =
        incoming.sessionId === undefined ? undefined : sessions.get(incoming.sessionId)
      if (session === undefined) {
        return incoming.sessionId === undefined ? call.respond(405, {}) : call.fail(sessionLost())
      }
      if (request.method === 'GET') return session.listen(call)
      session.end()
      call.respond(200, {})
    },
    async close() {
      for (const session of sessions.values()) session.end()
      await (await connecting)?.close()
      connecting = undefined
    },
    held: { kind: 'stream', count: () => sessions.size },
  }
}

/** A balancer finds the server that has the stream by the cookie that it set there. */
function keepCookies(upstream: Upstream, url: URL, jar: CookieJar | undefined): Upstream {
  return jar === undefined ? upstream : withCookies(upstream, url, jar)
}
