import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Caller } from '../auth/credentials/credential.js'
import {
  type ChallengeParts,
  schemeOf,
  scopeChallenge,
  scopesOfChallenge,
  stepUpChallenge,
} from '../auth/verify/challenge-response.js'
import type { Exchange, UnderWay } from '../gateway/exchange.js'
import { failureError, type TargetFailure } from '../gateway/forwarding/target-failure.js'
import { isOwnError, withRequestId } from '../mcp/json-text.js'
import { errorResponse, type RequestId } from '../mcp/jsonrpc.js'
import type { Message } from '../mcp/message.js'
import { STATELESS_VERSION } from '../mcp/versions.js'
import { ANSWER_PROBLEMS } from '../upstream/upstream-error.js'
import { ownMember } from '../util/json.js'
import type { LogFields } from '../util/logger.js'
import type { MemoryBudget } from '../util/memory-budget.js'
import type { Roster } from '../util/roster.js'
import type { Clock } from '../util/runtime.js'
import type { TraceSpan } from '../util/span.js'
import {
  type Accepted,
  HttpReply,
  type HttpReplyOwner,
  readAccepted,
  type WrittenId,
} from './http-reply.js'
import type { Place } from './limits.js'
import { corsHeaders } from './origins.js'
import type { RequestedItem, RequestSummary } from './request-log.js'
import type { Tracer } from './tracing.js'

/** The status in the log for a request whose client left. */
const CLIENT_LEFT = 499

export interface HttpExchangeOptions {
  streams: Roster<HttpReply>
  challenge: () => Pick<ChallengeParts, 'resourceMetadata' | 'required' | 'dpop'>
  clock: Pick<Clock, 'now'>
  memory?: MemoryBudget | undefined
  tracer?: Tracer | undefined
  log: (summary: RequestSummary) => void
  /** Path of the endpoint. */
  path?: string
  /** Reads which item a message requests; only with an audit trail. */
  requestedItem?: ((message: Message) => RequestedItem | undefined) | undefined
}

const FORWARDED_ELSEWHERE = new Set([
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
])

/** One HTTP request on its way through the gateway, and what its reply needs to know of it. */
export class HttpExchange implements Exchange, HttpReplyOwner {
  readonly request: IncomingMessage
  readonly reply: HttpReply
  readonly record: Exchange['record']
  readonly headers: string[]
  readonly requestId: string
  readonly span: TraceSpan | undefined
  readonly #traceparent: string | undefined
  readonly #remote: string | undefined
  readonly #response: ServerResponse
  readonly #options: HttpExchangeOptions
  readonly #startedAt: number
  caller: Caller = { principal: undefined, accessToken: undefined }
  /** The JSON-RPC id, once the body was read. */
  id: RequestId | undefined
  writtenId: WrittenId | undefined
  readonly accepts: Accepted
  /** Why the request was refused before it reached the gateway. */
  refusal: string | undefined
  /** What the log says of the refusal: a sentence, what was seen, and another event's name. */
  why: string | undefined
  seen: LogFields | undefined
  event: string | undefined
  isUncounted = false // the store of limits has not counted it yet
  #underWay: UnderWay | undefined
  #place: Place | undefined
  #hasEnded = false
  #isRequest: boolean
  #requested: RequestedItem | undefined

  constructor(request: IncomingMessage, response: ServerResponse, options: HttpExchangeOptions) {
    this.request = request
    this.#response = response
    this.#options = options
    this.#startedAt = options.clock.now()
    const { id: own, traceparent } = nameRequest(request)
    this.span = options.tracer?.request(traceparent, this.header('tracestate'))
    const id = this.span?.traceId ?? own
    this.requestId = id
    this.#traceparent = traceparent
    // a connection that is closed has none any more
    this.#remote = request.socket.remoteAddress
    const { origin } = request.headers
    this.headers = ['x-request-id', id]
    if (origin !== undefined) this.headers.push(...corsHeaders(origin))
    this.record = {
      method: request.method ?? '',
      tool: undefined,
      target: undefined,
      failure: undefined,
      refusal: undefined,
      outcome: undefined,
    }
    this.#isRequest = request.method !== 'POST'
    this.accepts = request.method === 'POST' ? readAccepted(request.headers.accept) : 'both'
    this.reply = new HttpReply(response, this)
  }

  get streams(): Roster<HttpReply> {
    return this.#options.streams
  }

  get memory(): MemoryBudget | undefined {
    return this.#options.memory
  }

  /** Takes the message that the body held. */
  take(message: Message): void {
    const { id, text, spans } = message
    this.id = id
    this.#isRequest = message.kind === 'request'
    this.#requested = this.#options.requestedItem?.(message)
    const span = typeof id === 'number' ? spans.get('id') : undefined
    const written = span && text.slice(span.start, span.end)
    // an id that is written as we would write it needs no care
    if (id !== undefined && written !== undefined && written !== String(id)) {
      this.writtenId = { id, text: written }
    }
  }

  cutOff(): string {
    const reason = ANSWER_PROBLEMS.endedEarly
    const failure = { cause: 'cut_off', target: this.record.target ?? 'all', reason } as const
    return errorResponse(this.id ?? null, failureError(failure))
  }

  get isIdle(): boolean {
    return this.request.method === 'GET' || this.record.method === 'subscriptions/listen'
  }

  get expiresAt(): number {
    return (this.caller.principal?.expiresAt ?? Number.POSITIVE_INFINITY) * 1000
  }

  challenge(scopes: readonly string[]): string {
    return scopeChallenge(this.#scopesFor(scopes), this.#challengeContext)
  }

  stepUpChallenge(scopes: readonly string[]): string {
    return stepUpChallenge(this.#scopesFor(scopes), this.#challengeContext)
  }

  get #challengeContext() {
    const { resourceMetadata, dpop } = this.#options.challenge()
    return { resourceMetadata, dpop, scheme: schemeOf(this.header('authorization')) }
  }

  /** All scopes that a challenge names, since clients request those and nothing else. */
  #scopesFor(scopes: readonly string[]): readonly string[] {
    const { required } = this.#options.challenge()
    const granted = this.addsScopes ? [] : [...(this.caller.principal?.scopes ?? [])]
    return scopesOfChallenge([required, scopes], granted)
  }

  /** Tells whether the client adds the scopes that it has to those that it is told, by its version. */
  get addsScopes(): boolean {
    return (this.header('mcp-protocol-version') ?? '') >= STATELESS_VERSION
  }

  /** Occupies a slot, which is released however the request ends. */
  set place(place: Place) {
    this.#place = place
    if (this.#hasEnded) place.release()
  }

  get place(): Place | undefined {
    return this.#place
  }

  /** Taken off its list however the request ends. */
  set underWay(underWay: UnderWay) {
    this.#underWay = underWay
    if (this.#hasEnded) underWay.list.delete(underWay)
  }

  /** Names the request in an error of ours; what a target answered stays as it is. */
  own(body: string): string {
    const { record } = this
    if (record.outcome !== undefined) return body
    if (!isOwnError(body)) {
      record.outcome = 'ok'
      return body
    }
    record.outcome = 'rpc_error'
    return withRequestId(body, this.requestId)
  }

  onEnd(hasLeft: boolean): void {
    this.#hasEnded = true
    this.#place?.release()
    this.#underWay?.list.delete(this.#underWay)
    const { record, refusal, why, seen, event } = this
    const { headersSent, statusCode } = this.#response
    this.#options.log({
      record,
      status: headersSent ? statusCode : CLIENT_LEFT,
      startedAt: this.#startedAt,
      principal: this.caller.principal,
      refusal,
      id: this.requestId,
      remote: this.#remote,
      traceparent: this.#traceparent,
      span: this.span,
      hasLeft,
      endpoint: this.#options.path,
      isRequest: this.#isRequest,
      requested: this.#requested,
      why,
      seen,
      event,
    })
  }

  /** Ends the request because it takes longer than any may. */
  expire(seconds: number): void {
    const failure: TargetFailure = {
      cause: 'timeout',
      target: this.record.target ?? 'all',
      reason: `no whole answer within ${seconds} s, the longest that a request may take here`,
    }
    this.record.failure ??= failure
    const { id } = this
    this.reply.expire(
      id === undefined ? undefined : errorResponse(id, failureError(failure, this.requestId)),
    )
  }

  header(name: string): string | undefined {
    const value = ownMember(this.request.headers, name)
    return Array.isArray(value) ? value[0] : value
  }

  extraHeaders(): string[] {
    const extra: string[] = []
    for (const [name, value] of Object.entries(this.request.headers)) {
      if (!name.startsWith('mcp-') || FORWARDED_ELSEWHERE.has(name)) continue
      if (typeof value === 'string') extra.push(name, value)
    }
    return extra
  }
}

/** How a request is named in our log, to the client (`X-Request-Id`) and to the target. */
interface RequestName {
  id: string
  /** The client's trace context, as far as W3C defines it; absent where it is missing or not valid. */
  traceparent: string | undefined
}

const TRACEPARENT = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}/

const TRACEPARENT_LENGTH = 55

/**
 * Names a request: by the trace id of its `traceparent`, else by a new UUID. A client's own
 * `X-Request-Id` is not looked at: it could be anything, and it could be somebody else's.
 *
 * @see [W3C Trace Context §3.2](https://www.w3.org/TR/trace-context/#traceparent-header) traceparent
 */
export function nameRequest({ headers }: Pick<IncomingMessage, 'headers'>): RequestName {
  const { traceparent: sent } = headers
  if (typeof sent !== 'string') return { id: randomUUID(), traceparent: undefined }
  const [traceparent, version, traceId] = TRACEPARENT.exec(sent) ?? []
  // only later versions may say more
  const rest = sent.slice(TRACEPARENT_LENGTH)
  const isWhole = rest === '' || (version !== '00' && rest.startsWith('-'))
  if (traceId === undefined || !isWhole) return { id: randomUUID(), traceparent: undefined }
  return { id: traceId, traceparent }
}

export function isJson(type: string | undefined): boolean {
  if (type === 'application/json') return true
  return type?.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
}

export function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
}
