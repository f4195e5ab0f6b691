import { JSON_TYPE, mediaTypeOf, STREAM_TYPE } from '../mcp/headers.js'
import { errorCodeOf } from '../mcp/incoming.js'
import { ERROR_CODES } from '../mcp/jsonrpc.js'
import { STATELESS_VERSION } from '../mcp/versions.js'
import { mayRefuseProtocol } from '../util/failure.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import { type AnswerWatch, HeldAnswer } from './held-answer.js'
import { loadFailure, PendingCall, whenLoaded } from './shared/pending-call.js'
import type { OpeningStream } from './sse/sse-stream.js'
import type { SseUpstream } from './sse/sse-upstream.js'
import type { TranslatingOptions } from './translate/options.js'
import type { Translator } from './translate/translator.js'
import {
  headerOf,
  SSE_SESSION,
  TRANSLATED_SESSION,
  type Upstream,
  type UpstreamHandler,
  type UpstreamRequest,
} from './upstream.js'
import { UpstreamError, unusableAnswer } from './upstream-error.js'

/** What servers that know only HTTP+SSE answer to a POST. */
const MAY_BE_SSE: ReadonlySet<number> = new Set([400, 404, 405])

export interface TransportDetectionOptions {
  http: Upstream
  /** Opens HTTP+SSE when it is first needed. */
  openSse(): Promise<SseUpstream>
  /** Learns, once, which transport the target speaks. */
  onChoice?(transport: 'Streamable HTTP' | 'HTTP+SSE'): void
}

/**
 * Speaks Streamable HTTP, and HTTP+SSE with servers that know only that transport. The first POST that
 * is answered decides: HTTP+SSE is tried only after a 400, 404 or 405 whose body is no MCP message, and
 * only for a request outside of a session. Every other answer is passed on. Once the transport is
 * known, requests go straight to it.
 *
 * @see [MCP 2025-11-25, backwards compatibility](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#backwards-compatibility)
 */
export function createDetectingUpstream({
  http,
  openSse,
  onChoice,
}: TransportDetectionOptions): Upstream {
  let chosen: Upstream | undefined
  let opened: Promise<SseUpstream> | undefined
  let probing: Promise<OpeningStream> | undefined

  const sse = () => {
    opened ??= openSse()
    return opened
  }

  const sendBySse = (request: UpstreamRequest, handler: UpstreamHandler) => {
    whenLoaded(sse(), handler, (transport) => transport.send(request, handler))
  }

  const probeOnce = (request: UpstreamRequest) => {
    probing ??= sse()
      .then((transport) => transport.probe(request))
      .finally(() => {
        probing = undefined
      })
    return probing
  }

  const choose = (transport: Upstream) => {
    if (chosen !== undefined) return
    chosen = transport
    onChoice?.(transport === http ? 'Streamable HTTP' : 'HTTP+SSE')
  }

  async function fallBack(
    request: UpstreamRequest,
    handler: UpstreamHandler,
    answer: HeldAnswer,
  ): Promise<void> {
    if (chosen === undefined) {
      const probed = await probeOnce(request)
      if (probed.kind === 'open') choose(await sse())
      else if (probed.kind === 'refused' && (probed.status === 401 || probed.status === 403)) {
        return answer.respond(probed.status, probed.headers)
      } else {
        const { reasonOf } = await import('./sse/sse-stream.js')
        const reason = `it answered HTTP ${answer.status} to a POST, and ${reasonOf(probed)} (HTTP+SSE)`
        return answer.fail(new UpstreamError('http_status', reason, answer.status))
      }
    }
    if (answer.isOver) return
    if (chosen === undefined) sendBySse(request, handler)
    else chosen.send(request, handler)
  }

  return {
    send(request, handler) {
      if (chosen !== undefined) return chosen.send(request, handler)
      const sessionId = headerOf(request.headers, 'mcp-session-id')
      // opened by another process, or by this one before it was restarted
      if (sessionId?.startsWith(SSE_SESSION)) return sendBySse(request, handler)
      if (request.method !== 'POST') return http.send(request, handler)
      const holds = (status: number) => {
        if (status >= 200 && status < 300) choose(http)
        return MAY_BE_SSE.has(status)
      }
      const decide = (answer: HeldAnswer) => {
        const mayBeSse = sessionId === undefined && maySpeakSse(request, answer)
        if (!mayBeSse) return answer.replay()
        fallBack(request, handler, answer).catch((error) => answer.fail(loadFailure(error)))
      }
      http.send(request, new HeldAnswer(handler, { holds, decide }))
    },
    async close() {
      const closeSse = opened?.then((transport) => transport.close()).catch(() => undefined)
      await Promise.all([http.close(), closeSse])
    },
    get held() {
      return chosen?.held
    },
  }
}

/** After a 400 only for `initialize`: other requests may be refused for want of a session. */
function maySpeakSse({ body }: UpstreamRequest, { status, response }: HeldAnswer): boolean {
  if (response?.['jsonrpc'] === '2.0') return false
  if (status !== 400) return true
  const message = tryParseJson(body?.toString() ?? '')
  return isObject(message) && message['method'] === 'initialize'
}

/** After this time, a target that spoke the session-based protocol is tested again. */
const SESSION_BASED_MS = 10 * 60_000

const SAYS_STATELESS: ReadonlySet<unknown> = new Set([
  ERROR_CODES.unsupportedProtocolVersion,
  ERROR_CODES.headerMismatch,
  ERROR_CODES.invalidParams,
])

/**
 * Lets clients of the versions up to 2025-11-25 use a server that speaks only 2026-07-28. All passes
 * untouched until such a server refuses `initialize`, or answers it in that version; then it is asked
 * with `server/discover`, and from there on requests and answers are translated. A refusal of anything
 * else decides nothing: a server that takes `initialize` is one for older clients, whatever it thinks
 * of a request. What translates is loaded only when it is needed.
 *
 * @see [MCP 2026-07-28, versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning)
 */
export function createTranslatingUpstream(inner: Upstream, options: TranslatingOptions): Upstream {
  let isSessionBased = false
  let isStateless = options.protocol === STATELESS_VERSION
  let translator: Translator | undefined
  let loading: Promise<Translator> | undefined

  const load = async (): Promise<Translator> => {
    const { createTranslator } = await import('./translate/translator.js')
    const onSessionBased = () => {
      isStateless = options.protocol === STATELESS_VERSION
    }
    translator = createTranslator({ ...options, inner, onSessionBased })
    return translator
  }

  function translate(handler: UpstreamHandler, work: (loaded: Translator) => void): void {
    if (translator !== undefined) return work(translator)
    loading ??= load()
    whenLoaded(loading, handler, work)
  }

  function foundSessionBased(): void {
    if (isSessionBased) return
    isSessionBased = true
    options.clock.after(SESSION_BASED_MS, () => {
      isSessionBased = false
    })
  }

  function foundStateless(): void {
    isStateless = true
    const { logger, target } = options
    const text = `Target "${target}" speaks ${STATELESS_VERSION} only: older clients are translated`
    logger.info('translating', text, { target })
  }

  /** Decides whether a refusal may mean that the target speaks only the stateless protocol. */
  function decide(answer: HeldAnswer, request: UpstreamRequest, handler: UpstreamHandler): void {
    const isStart = startsSession(request)
    const message = answer.response
    if (isStart && message !== undefined && speaksSessionBased(message)) {
      foundSessionBased()
      return answer.replay()
    }
    if (!isStart && !SAYS_STATELESS.has(errorCodeOf(message))) return answer.replay()
    translate(handler, (loaded) => {
      detect(loaded, answer, request, handler).catch((error) => answer.fail(unusableAnswer(error)))
    })
  }

  /** Probes which protocol the target speaks, with the credential of the request. */
  async function detect(
    loaded: Translator,
    answer: HeldAnswer,
    request: UpstreamRequest,
    handler: UpstreamHandler,
  ): Promise<void> {
    if (!startsSession(request) && (await loaded.takesInitialize(request))) {
      foundSessionBased()
      return answer.replay()
    }
    const discovery = await loaded.discover(request)
    if (answer.isOver) return
    if (discovery.ok) {
      foundStateless()
      answer.drop()
      loaded.send(request, handler, discovery.result)
    } else if (discovery.wantsCredential) {
      // after sign-in, detection starts over
      answer.drop()
      discovery.pass(new PendingCall(handler))
    } else answer.replay()
  }

  /** Sends a request to a target whose protocol is not known yet. */
  function probe(request: UpstreamRequest, handler: UpstreamHandler): void {
    const watch: AnswerWatch = {
      holds(status, headers) {
        const inSession = headerOf(request.headers, 'mcp-session-id') !== undefined
        if (status >= 400) return mayRefuseProtocol(status) && !inSession
        if (startsSession(request)) {
          const type = mediaTypeOf(headers['content-type'])
          if (type !== STREAM_TYPE) return type === JSON_TYPE
          // the client has to learn of the session at once, since only the client can end it
          return status !== 200 || headers['mcp-session-id'] === undefined
        }
        // only servers of the session-based protocol have sessions
        if (inSession) foundSessionBased()
        return false
      },
      decide: (answer) => decide(answer, request, handler),
    }
    inner.send(request, new HeldAnswer(handler, watch))
  }

  return {
    send(request, handler) {
      if (isSessionBased) return inner.send(request, handler)
      if (headerOf(request.headers, 'mcp-method') !== undefined) {
        if (!options.mirrorsParams || !isOfTools(request)) return inner.send(request, handler)
        return translate(handler, (loaded) => loaded.mirror(request, handler))
      }
      if (isStateless || isTranslated(request)) {
        return translate(handler, (loaded) => loaded.send(request, handler))
      }
      if (request.method === 'POST') return probe(request, handler)
      inner.send(request, handler)
    },
    close: () => inner.close(),
  }
}

/** Tells whether an answer to `initialize` opens a session of the session-based protocol. */
function speaksSessionBased({ result }: JsonObject): boolean {
  if (!isObject(result)) return false
  const version = result['protocolVersion']
  return typeof version !== 'string' || version < STATELESS_VERSION
}

/** The session was issued by a translation, perhaps in another process. */
function isTranslated({ headers }: UpstreamRequest): boolean {
  return headerOf(headers, 'mcp-session-id')?.startsWith(TRANSLATED_SESSION) === true
}

function startsSession({ body }: UpstreamRequest): boolean {
  return methodOf(body, '"initialize"') === 'initialize'
}

function isOfTools({ body }: UpstreamRequest): boolean {
  const method = methodOf(body, '"tools/')
  return method === 'tools/list' || method === 'tools/call'
}

/** Reads the method of a message where its text holds `mark` at all. */
function methodOf(body: UpstreamRequest['body'], mark: string): unknown {
  if (body === undefined || !body.includes(mark)) return undefined
  const message = tryParseJson(body.toString())
  return isObject(message) ? message['method'] : undefined
}
