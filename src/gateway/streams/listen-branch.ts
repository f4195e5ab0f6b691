import type { RequestId } from '../../mcp/jsonrpc.js'
import { type EventFields, writeEvent } from '../../mcp/sse.js'
import { isObject, type JsonObject, ownMember, tryParseJson } from '../../util/json.js'
import { type Exchange, replyFailure } from '../exchange.js'
import { isResponseTo } from '../forwarding/answer-check.js'
import type { TargetFailure } from '../forwarding/target-failure.js'
import type { UpstreamSend } from '../forwarding/upstream-send.js'
import type { Parties } from '../rewriting/bound-ids.js'
import { exposeAll } from '../rewriting/response-rewriter.js'
import { whyNoServerMessage } from '../rewriting/server-messages.js'
import type { Target } from '../target.js'
import type { StreamSource } from './merged-stream.js'
import { ACKNOWLEDGED, isEmptyFilter, missedChanges, tagged } from './subscription-filter.js'

/** The subscription that a branch is a part of. */
export interface ListenOwner {
  /** Of the client's request. */
  readonly id: RequestId
  /** The client got its acknowledgement. */
  readonly isAcknowledged: boolean
  write(events: string): void
  /** The state of a branch changed. */
  settle(): void
  /** A branch has no stream. */
  missing(failure: TargetFailure, target: Target): void
}

/** One target's part of a subscription. */
export class ListenBranch implements StreamSource {
  readonly target: Target
  /** What the target is expected to tell of, in its own names. */
  accepted: JsonObject
  /**
   * `asked` until the target acknowledges, then `open`; `ended` when it closed the stream in order;
   * `down` while it cannot be reached; `refused` for good.
   */
  state: 'asked' | 'open' | 'ended' | 'down' | 'refused' = 'asked'
  readonly #owner: ListenOwner
  readonly #filter: JsonObject
  readonly #send: UpstreamSend
  readonly #parties: Parties
  #failure: TargetFailure | undefined
  #refusal: { status: number; body: Buffer } | undefined

  constructor(owner: ListenOwner, filter: JsonObject, send: UpstreamSend, parties: Parties) {
    this.target = send.target
    this.accepted = filter
    this.#owner = owner
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
    if (isResponseTo(message, this.#owner.id)) {
      this.#ended(message)
      return undefined
    }
    // servers of the stateless era send no requests
    if ('id' in message || whyNoServerMessage(data, message) !== undefined) return undefined
    if (message['method'] === ACKNOWLEDGED) this.#acknowledged(message)
    else if (this.state === 'open') return this.#expose(data)
    return undefined
  }

  #expose(text: string): string {
    return writeEvent(exposeAll(this.#parties, tagged(text, this.#owner.id)))
  }

  #acknowledged({ params }: JsonObject): void {
    const notifications = isObject(params) ? params['notifications'] : undefined
    this.accepted = isObject(notifications) ? plain(notifications, this.#filter) : {}
    this.state = 'open'
    if (!this.#owner.isAcknowledged) return this.#owner.settle()
    // written past the stream, so that a target which breaks off each time is still asked less often
    for (const change of missedChanges(this.accepted)) {
      this.#owner.write(this.#expose(change))
    }
  }

  #ended(response: JsonObject): void {
    this.state = 'result' in response ? 'ended' : 'down'
    this.#owner.settle()
  }

  answered(status: number, body: Buffer): void {
    this.#refuse('refused')
    this.#refusal = { status, body }
    this.#owner.settle()
  }

  failed(failure: TargetFailure, again: boolean): void {
    this.#refuse(again ? 'down' : 'refused')
    this.#failure = failure
    this.#owner.missing(failure, this.target)
  }

  #refuse(state: 'down' | 'refused'): void {
    this.state = state
    this.accepted = state === 'down' ? this.#filter : {}
  }

  /** Answers the client for a target that gives no stream. */
  replyTo(exchange: Exchange): void {
    if (this.#failure !== undefined) {
      return replyFailure(exchange, this.#owner.id, this.#failure)
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
