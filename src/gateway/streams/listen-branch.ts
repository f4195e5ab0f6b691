import type { RequestId } from '../../mcp/jsonrpc.js'
import { type EventFields, writeEvent } from '../../mcp/sse.js'
import { isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { type Exchange, replyFailure } from '../exchange.js'
import { isResponseTo } from '../forwarding/answer-check.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import type { UpstreamSend } from '../forwarding/upstream-send.js'
import type { Parties } from '../rewriting/bound-ids.js'
import { mayHear } from '../rewriting/judged-resources.js'
import { exposeAll } from '../rewriting/response-rewriter.js'
import { whyNoServerMessage } from '../rewriting/server-messages.js'
import { audible } from '../routing/judge.js'
import type { Target } from '../target.js'
import type { StreamSource } from './merged-stream.js'
import { ACKNOWLEDGED, isEmptyFilter, missedChanges, plain, tagged } from './subscription-filter.js'

/** The subscription that a target's part belongs to. */
export interface Subscriber {
  readonly id: RequestId
  readonly isAcknowledged: boolean
  write(events: string | Buffer): boolean
  settle(): void
  missing(failure: TargetFailure, target: Target): void
}

/** One target's part of a subscription. */
export class ListenBranch implements StreamSource {
  readonly target: Target
  /** What the target is expected to tell of, in its own names. */
  accepted: JsonObject
  /**
   * `requested` until the target acknowledges, then `open`; `ended` when it closed the stream in order;
   * `down` while it cannot be reached; `refused` for good.
   */
  state: 'requested' | 'open' | 'ended' | 'down' | 'refused' = 'requested'
  readonly #subscription: Subscriber
  readonly #filter: JsonObject
  readonly #send: UpstreamSend
  readonly #parties: Parties
  #failure: TargetFailure | undefined
  #refusal: { status: number; body: Buffer } | undefined

  constructor(subscription: Subscriber, filter: JsonObject, send: UpstreamSend, parties: Parties) {
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
    if (this.state !== 'requested') this.state = 'down'
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
    // written past the stream, so that a target which breaks off each time is still retried less often
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
