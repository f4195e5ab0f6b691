import type { Principal } from '../../auth/principal.js'
import { notificationText } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { writeEvent } from '../../mcp/sse.js'
import { isObject, ownMember } from '../../util/json.js'
import type { GatewayContext } from '../context.js'
import type { StayingStream } from '../exchange.js'
import type { Request } from '../request.js'
import type { Target } from '../target.js'
import type { StreamSource } from './merged-stream.js'
import { tagged } from './subscription-filter.js'

/** A list whose change clients are told of. */
export type ListName = 'tools' | 'prompts' | 'resources'

/** Returns which lists of a target, by its name, have other settings now. */
export type ChangedLists = (target: string) => readonly ListName[]

/** A client's stream that stays open when the settings change. */
export interface OpenStream extends StayingStream {
  readonly request: Request
  /** Those that it tells of. */
  readonly targets: readonly Target[]
  /** Tells the client that lists may have changed. */
  tell(lists: ReadonlySet<ListName>): void
  /** Goes on with the targets of the gateway that takes it over; ends in order when none is left. */
  goOn(next: Successor): void
}

/** The gateway that takes a stream over. */
export interface Successor {
  readonly context: GatewayContext
  /** Makes a target's part of a client's stream (GET). */
  createSource(request: Request, target: Target, last: Map<string, string>): StreamSource
  /** Opens the stream of a single target (GET). */
  relayLone(request: Request, target: Target): void
}

/** Tells whether two gateways have the same targets for a caller. */
export function hasSameTargets(stream: OpenStream, { context }: Successor): boolean {
  const { targets } = stream
  const next = context.targets
  return targets.length === next.length && next.every((target) => targets.includes(target))
}

/** Writes the notifications of changed lists to a stream (GET). */
export function tellOnStream({ exchange }: Request, lists: ReadonlySet<ListName>): void {
  const { reply } = exchange
  reply.openStream()
  for (const list of lists) {
    reply.write(writeEvent(notificationText(`notifications/${list}/list_changed`)))
  }
}

/** Writes them to a subscription, as far as its client requested them. */
export function tellSubscriber(
  { exchange }: Request,
  { id, params }: Message,
  lists: ReadonlySet<ListName>,
): void {
  const filter = params['notifications']
  // nothing may be written before the acknowledgement
  if (id === undefined || !isObject(filter) || exchange.reply.isStream !== true) return
  for (const list of lists) {
    if (ownMember(filter, `${list}ListChanged`) !== true) continue
    const text = notificationText(`notifications/${list}/list_changed`, {})
    exchange.reply.write(writeEvent(tagged(text, id)))
  }
}

/** `subscriptions/listen` of a single target, which answers it itself. */
export class LoneSubscription implements OpenStream {
  readonly request: Request
  readonly lasting: object
  opener: object
  targets: readonly Target[]
  readonly #message: Message
  readonly #target: Target

  constructor(context: GatewayContext, request: Request, message: Message, target: Target) {
    this.request = request
    this.lasting = context.lasting
    this.opener = context.opener
    this.targets = context.targets
    this.#message = message
    this.#target = target
  }

  tell(lists: ReadonlySet<ListName>): void {
    tellSubscriber(this.request, this.#message, lists)
  }

  goOn({ context }: Successor): void {
    this.opener = context.opener
    this.targets = context.targets
    if (!context.targets.includes(this.#target)) this.request.exchange.reply.finish?.()
  }
}

/**
 * Takes over a stream that another gateway opened, and tells its client of what may have changed.
 *
 * @param changed Says which lists of a target have other settings.
 */
export type TakeOver = (stream: StayingStream, changed: ChangedLists) => void

/** Returns whose stream it is. */
export function callerOf(stream: StayingStream): Principal | undefined {
  return (stream as OpenStream).request.exchange.caller.principal
}

/** Has a gateway take a stream over: first its client is told, then it goes on. */
export function takeOverStream(
  staying: StayingStream,
  next: Successor,
  changed: ChangedLists,
): void {
  const stream = staying as OpenStream
  const concerned = [...stream.targets, ...next.context.targets].map(({ name }) => name)
  const lists = new Set([...new Set(concerned)].flatMap(changed))
  if (lists.size > 0) stream.tell(lists)
  stream.goOn(next)
}
