import { ERROR_CODES, type RequestId } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { type EventFields, writeEvent } from '../../mcp/sse.js'
import { isObject, type JsonObject, ownMember, tryParseJson } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { type Exchange, replyError, replyFailure } from '../exchange.js'
import { isResponseTo } from '../forwarding/answer-check.js'
import { refuse } from '../forwarding/forward.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import { statelessHeaders, type UpstreamSend } from '../forwarding/upstream-send.js'
import type { Request } from '../request.js'
import type { Parties } from '../rewriting/bound-ids.js'
import { mayHear } from '../rewriting/judged-resources.js'
import { exposeAll } from '../rewriting/response-rewriter.js'
import { whyNoServerMessage } from '../rewriting/server-messages.js'
import { audible, judgeSubscription } from '../routing/judge.js'
import type { Target } from '../target.js'
import { type MergeOptions, mergeStreams, type StreamSource } from './merged-stream.js'
import {
  ACKNOWLEDGED,
  audibleFilters,
  endOfSubscription,
  isEmptyFilter,
  mergeFilters,
  missedChanges,
  splitFilter,
  tagged,
} from './subscription-filter.js'

/**
 * Answers `subscriptions/listen` from all targets that it concerns, with one acknowledgement and one
 * stream. A target that is down or breaks off is asked again while the client stays; once it is back,
 * everything that may have changed meanwhile is reported as changed.
 *
 * @see [MCP 2026-07-28, subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions)
 */
export function listenToAll(context: GatewayContext, request: Request, message: Message): void {
  const wanted = message.params['notifications']
  if (isObject(wanted)) {
    const { targets, boundIds } = context
    const { principal } = request.exchange.caller
    const asked = splitFilter(targets, wanted, (id) => boundIds.routeTask(id, principal))
    const decision = judgeSubscription(asked, principal)
    if (!decision.allowed) return refuse(request.exchange, message, decision)
    return new Subscription(context, request, message, audibleFilters(asked, principal)).start()
  }
  const text = 'subscriptions/listen needs the object "notifications"'
  replyError(request.exchange, message.id, ERROR_CODES.invalidParams, text)
}

/** One client's stream and the targets' streams that it is made of. */
class Subscription {
  /** Of the client's request. */
  readonly id: RequestId
  /** Nothing may be written before the acknowledgement. */
  isAcknowledged = false
  readonly #context: GatewayContext
  readonly #request: Request
  readonly #branches: readonly ListenBranch[]
  readonly #held: (string | Buffer)[] = []
  /** What the targets' streams write to; its `watcher` resumes and closes them. */
  readonly #gate: MergeOptions['reply']
  #cancelDeadline = () => {}

  constructor(
    context: GatewayContext,
    request: Request,
    message: Message,
    asked: ReadonlyMap<Target, JsonObject>,
  ) {
    this.id = message.id as RequestId
    this.#context = context
    this.#request = request
    this.#gate = { watcher: undefined, write: (events) => this.write(events) }
    const { principal } = request.exchange.caller
    const { boundIds } = context
    this.#branches = [...asked].map(([target, filter]) => {
      const parties = { boundIds, target, principal }
      return new ListenBranch(this, filter, this.#sendTo(target, message, filter), parties)
    })
  }

  /** The target gets the client's id, and tags everything that it sends with it. */
  #sendTo(target: Target, { method, params }: Message, filter: JsonObject): UpstreamSend {
    const { exchange } = this.#request
    const { id } = this
    const body = { jsonrpc: '2.0', id, method, params: { ...params, notifications: filter } }
    return {
      ...{ target, id, caller: exchange.caller, method: 'POST' },
      headers: statelessHeaders(this.#context.clock, exchange, method),
      body: JSON.stringify(body),
      inSession: false,
      isStream: true,
      timeoutMs: 0,
      span: exchange.span,
    }
  }

  start(): void {
    const { clock, timeouts } = this.#context
    this.#cancelDeadline = clock.after(timeouts.list, () => this.#acknowledge())
    mergeStreams({ reply: this.#gate, sources: this.#branches, clock })
    this.#request.exchange.reply.watcher = {
      onDrain: () => this.#gate.watcher?.onDrain(),
      onClose: () => this.#close(),
      onShutdown: () => this.#end(),
    }
    this.settle()
  }

  /** Writes events to the client; before the acknowledgement it keeps them, and pauses their streams. */
  write(events: string | Buffer): boolean {
    if (this.isAcknowledged) return this.#request.exchange.reply.write(events)
    this.#held.push(events)
    return false
  }

  /** Acknowledges, or ends, once no target is left to wait for. */
  settle(): void {
    // a target may fail before all of them were asked
    if (this.#gate.watcher === undefined) return
    if (!this.isAcknowledged) {
      if (this.#branches.every(({ state }) => state !== 'asked')) this.#acknowledge()
    } else if (this.#branches.every(({ isOver }) => isOver)) this.#end()
  }

  /** Goes on without a target that gives no stream. */
  missing({ reason }: TargetFailure, target: Target): void {
    const { eras, logger } = this.#context
    eras.suspect(target)
    const log = this.isAcknowledged ? logger.debug : logger.warn
    const { name } = target
    log('target_unavailable', `Target "${name}" is left out`, { target: name, reason })
    this.settle()
  }

  #acknowledge(): void {
    const { exchange } = this.#request
    const branches = this.#branches
    const [first] = branches
    if (first && branches.every(({ state }) => state === 'refused' || state === 'down')) {
      this.#close()
      return first.replyTo(exchange)
    }
    this.#cancelDeadline()
    this.isAcknowledged = true
    // targets that have not answered yet are promised too: they are asked until they do
    const accepted = branches.map(({ target, accepted }) => [target, accepted] as const)
    const { principal } = exchange.caller
    const exposeTask = (target: Target, own: string) =>
      this.#context.boundIds.exposeTask(target, own, principal)
    const params = { notifications: mergeFilters(accepted, exposeTask) }
    const text = JSON.stringify({ jsonrpc: '2.0', method: ACKNOWLEDGED, params })
    exchange.reply.openStream()
    exchange.reply.write(writeEvent(tagged(text, this.id)))
    for (const events of this.#held.splice(0)) exchange.reply.write(events)
    this.#gate.watcher?.onDrain()
    this.settle()
  }

  #end(): void {
    if (!this.isAcknowledged) return
    const { reply } = this.#request.exchange
    this.#close()
    reply.write(endOfSubscription(this.id))
    reply.endStream()
  }

  #close(): void {
    this.#cancelDeadline()
    this.#gate.watcher?.onClose()
  }
}

/** One target's part of a subscription. */
class ListenBranch implements StreamSource {
  readonly target: Target
  /** What the target is expected to tell of, in its own names. */
  accepted: JsonObject
  /**
   * `asked` until the target acknowledges, then `open`; `ended` when it closed the stream in order;
   * `down` while it cannot be reached; `refused` for good.
   */
  state: 'asked' | 'open' | 'ended' | 'down' | 'refused' = 'asked'
  readonly #subscription: Subscription
  readonly #filter: JsonObject
  readonly #send: UpstreamSend
  readonly #parties: Parties
  #failure: TargetFailure | undefined
  #refusal: { status: number; body: Buffer } | undefined

  constructor(
    subscription: Subscription,
    filter: JsonObject,
    send: UpstreamSend,
    parties: Parties,
  ) {
    this.target = send.target
    this.accepted = filter
    this.#subscription = subscription
    this.#filter = filter
    this.#send = send
    this.#parties = parties
  }

  /** Nothing more will come. */
  get isOver(): boolean {
    return this.state === 'refused' || this.state === 'ended'
  }

  request(): UpstreamSend | undefined {
    // a target that accepted nothing will send nothing
    if (this.state === 'ended' && isEmptyFilter(this.accepted)) return undefined
    if (this.state !== 'asked') this.state = 'down'
    return this.#send
  }

  expose({ data }: EventFields): string | undefined {
    const message = data === undefined ? undefined : tryParseJson(data)
    if (data === undefined || !isObject(message)) return undefined
    if (isResponseTo(message, this.#subscription.id)) {
      this.#ended(message)
      return undefined
    }
    // servers of the stateless era send no requests
    if ('id' in message || whyNoServerMessage(data, message) !== undefined) return undefined
    const { target } = this
    const { principal } = this.#parties
    if (message['method'] === ACKNOWLEDGED) this.#acknowledged(message)
    else if (this.state === 'open' && mayHear(target, data, principal)) return this.#expose(data)
    return undefined
  }

  #expose(text: string): string {
    return writeEvent(exposeAll(this.#parties, tagged(text, this.#subscription.id)))
  }

  #acknowledged({ params }: JsonObject): void {
    const notifications = isObject(params) ? params['notifications'] : undefined
    const accepted = isObject(notifications) ? plain(notifications, this.#filter) : {}
    this.accepted = audible(this.target, accepted, this.#parties.principal)
    this.state = 'open'
    if (!this.#subscription.isAcknowledged) return this.#subscription.settle()
    // written past the stream, so that a target which breaks off each time is still asked less often
    for (const change of missedChanges(this.accepted)) {
      this.#subscription.write(this.#expose(change))
    }
  }

  #ended(response: JsonObject): void {
    this.state = 'result' in response ? 'ended' : 'down'
    this.#subscription.settle()
  }

  answered(status: number, body: Buffer): void {
    this.#refuse('refused')
    this.#refusal = { status, body }
    this.#subscription.settle()
  }

  failed(failure: TargetFailure, again: boolean): void {
    this.#refuse(again ? 'down' : 'refused')
    this.#failure = failure
    this.#subscription.missing(failure, this.target)
  }

  #refuse(state: 'down' | 'refused'): void {
    this.state = state
    this.accepted = state === 'down' ? this.#filter : {}
  }

  /** Answers the client for a target that gives no stream. */
  replyTo(exchange: Exchange): void {
    if (this.#failure !== undefined) {
      return replyFailure(exchange, this.#subscription.id, this.#failure)
    }
    const { status = 200, body = Buffer.alloc(0) } = this.#refusal ?? {}
    exchange.reply.json(status, body)
  }
}

/** Replaces members that are neither simple values nor lists of names with what was asked for. */
function plain(accepted: JsonObject, asked: JsonObject): JsonObject {
  const isName = (value: unknown) => typeof value === 'string'
  const isPlain = (value: unknown) =>
    Array.isArray(value) ? value.every(isName) : typeof value !== 'object'
  return Object.fromEntries(
    Object.entries(accepted).map(([name, value]) => [
      name,
      isPlain(value) ? value : ownMember(asked, name),
    ]),
  )
}
