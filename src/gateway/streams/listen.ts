import { ERROR_CODES, type RequestId } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { writeEvent } from '../../mcp/sse.js'
import { isObject, type JsonObject } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import { replyError } from '../exchange.js'
import { refuse } from '../forwarding/forward.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import { statelessHeaders, type UpstreamSend } from '../forwarding/upstream-send.js'
import type { Request } from '../request.js'
import { judgeSubscription } from '../routing/judge.js'
import type { Target } from '../target.js'
import { ListenBranch, type Subscriber } from './listen-branch.js'
import { type MergedStreams, type MergeOptions, mergeStreams } from './merged-stream.js'
import {
  hasSameTargets,
  type ListName,
  type OpenStream,
  type Successor,
  tellSubscriber,
} from './open-stream.js'
import {
  ACKNOWLEDGED,
  audibleFilters,
  endOfSubscription,
  mergeFilters,
  splitFilter,
  tagged,
} from './subscription-filter.js'

/**
 * Answers `subscriptions/listen` from all targets that it concerns, with one acknowledgement and one
 * stream. A target that is down or breaks off is subscribed again while the client stays; once it is back,
 * everything that may have changed meanwhile is reported as changed.
 *
 * @see [MCP 2026-07-28, subscriptions](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/subscriptions)
 */
export function listenToAll(context: GatewayContext, request: Request, message: Message): void {
  const wanted = message.params['notifications']
  if (isObject(wanted)) {
    const { targets, boundIds } = context
    const { principal } = request.exchange.caller
    const filters = splitFilter(targets, wanted, (id) => boundIds.routeTask(id, principal))
    const decision = judgeSubscription(filters, principal)
    if (!decision.allowed) return refuse(request.exchange, message, decision)
    return new Subscription(context, request, message, audibleFilters(filters, principal)).start()
  }
  const text = 'subscriptions/listen needs the object "notifications"'
  replyError(request.exchange, message.id, ERROR_CODES.invalidParams, text)
}

/** Returns the filter for each target, as far as the caller may hear of its changes. */
function filtersOf(
  { targets, boundIds }: GatewayContext,
  { exchange }: Request,
  { params }: Message,
): Map<Target, JsonObject> {
  const { principal } = exchange.caller
  const wanted = params['notifications'] as JsonObject
  const filters = splitFilter(targets, wanted, (id) => boundIds.routeTask(id, principal))
  return audibleFilters(filters, principal)
}

/** One client's stream and the targets' streams that it is made of. */
class Subscription implements OpenStream, Subscriber {
  /** Of the client's request. */
  readonly id: RequestId
  /** Nothing may be written before the acknowledgement. */
  isAcknowledged = false
  readonly request: Request
  readonly lasting: object
  targets: readonly Target[]
  #context: GatewayContext
  readonly #message: Message
  #branches: readonly ListenBranch[]
  #merged: MergedStreams | undefined
  readonly #held: (string | Buffer)[] = []
  /** What the targets' streams write to; its `watcher` resumes and closes them. */
  readonly #gate: MergeOptions['reply']
  #cancelDeadline = () => {}

  constructor(
    context: GatewayContext,
    request: Request,
    message: Message,
    filters: ReadonlyMap<Target, JsonObject>,
  ) {
    this.id = message.id as RequestId
    this.#context = context
    this.request = request
    this.#gate = { watcher: undefined, write: (events) => this.write(events) }
    this.lasting = context.lasting
    this.targets = context.targets
    this.#message = message
    this.#branches = [...filters].map(([target, filter]) => this.#branchOf(target, filter))
    request.exchange.reply.stays = this
  }

  get opener(): object {
    return this.#context.opener
  }

  #branchOf(target: Target, filter: JsonObject): ListenBranch {
    const { boundIds } = this.#context
    const { principal } = this.request.exchange.caller
    const send = this.#sendTo(target, this.#message, filter)
    return new ListenBranch(this, filter, send, { boundIds, target, principal })
  }

  tell(lists: ReadonlySet<ListName>): void {
    if (this.isAcknowledged) tellSubscriber(this.request, this.#message, lists)
  }

  /** Subscribes to an added target, and then reports all its lists as changed. */
  goOn(next: Successor): void {
    this.#context = next.context
    if (hasSameTargets(this, next)) return
    this.targets = next.context.targets
    const filters = filtersOf(next.context, this.request, this.#message)
    const kept = this.#branches.filter(({ target }) => this.targets.includes(target))
    const known = kept.map(({ target }) => target)
    const added = [...filters].filter(([target]) => !known.includes(target))
    const branches = added.map(([target, filter]) => this.#branchOf(target, filter))
    this.#branches = [...kept, ...branches]
    const make = (target: Target) => branches.find((own) => own.target === target) as ListenBranch
    this.#merged?.hear(
      this.#branches.map(({ target }) => target),
      make,
    )
    this.settle()
  }

  /** The target gets the client's id, and tags everything that it sends with it. */
  #sendTo(target: Target, { method, params }: Message, filter: JsonObject): UpstreamSend {
    const { exchange } = this.request
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
    this.#merged = mergeStreams({ reply: this.#gate, sources: this.#branches, clock })
    this.request.exchange.reply.watcher = {
      onDrain: () => this.#gate.watcher?.onDrain(),
      onClose: () => this.#close(),
      onShutdown: () => this.#end(),
    }
    this.settle()
  }

  /** Writes events to the client; before the acknowledgement it keeps them, and pauses their streams. */
  write(events: string | Buffer): boolean {
    if (this.isAcknowledged) return this.request.exchange.reply.write(events)
    this.#held.push(events)
    return false
  }

  /** Acknowledges, or ends, once no target is left to wait for. */
  settle(): void {
    // a target may fail before all of them were sent the request
    if (this.#gate.watcher === undefined) return
    if (!this.isAcknowledged) {
      if (this.#branches.every(({ state }) => state !== 'requested')) this.#acknowledge()
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
    const { exchange } = this.request
    const branches = this.#branches
    const [first] = branches
    if (first && branches.every(({ state }) => state === 'refused' || state === 'down')) {
      this.#close()
      return first.replyTo(exchange)
    }
    this.#cancelDeadline()
    this.isAcknowledged = true
    // targets that have not answered yet are promised too: they are retried until they do
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
    const { reply } = this.request.exchange
    this.#close()
    reply.write(endOfSubscription(this.id))
    reply.endStream()
  }

  #close(): void {
    this.#cancelDeadline()
    this.#gate.watcher?.onClose()
  }
}
