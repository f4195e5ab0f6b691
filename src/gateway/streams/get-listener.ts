import type { GatewayContext } from '../context.js'
import type { ReplyWatcher } from '../exchange.js'
import type { Request } from '../request.js'
import type { Target } from '../target.js'
import { type MergedStreams, type MergeOptions, mergeStreams } from './merged-stream.js'
import {
  hasSameTargets,
  type ListName,
  type OpenStream,
  type Successor,
  tellOnStream,
} from './open-stream.js'

/** What a client hears on its stream (GET): one target as it speaks, several merged, or both. */
export class GetListener implements OpenStream {
  readonly request: Request
  readonly lasting: object
  opener: object
  targets: readonly Target[]
  /** Relayed as it speaks; the others are merged beside it. */
  #lone: Target | undefined
  #merged: MergedStreams | undefined
  readonly #last: Map<string, string>

  /** @param parts The one target that is relayed, or the streams that are merged. */
  constructor(
    { lasting, opener, targets }: Pick<GatewayContext, 'lasting' | 'opener' | 'targets'>,
    request: Request,
    parts: { lone: Target } | { merged: MergedStreams; last: Map<string, string> },
  ) {
    this.request = request
    this.lasting = lasting
    this.opener = opener
    this.targets = targets
    this.#lone = 'lone' in parts ? parts.lone : undefined
    this.#merged = 'merged' in parts ? parts.merged : undefined
    this.#last = 'last' in parts ? parts.last : new Map()
  }

  tell(lists: ReadonlySet<ListName>): void {
    tellOnStream(this.request, lists)
  }

  goOn(next: Successor): void {
    const { context } = next
    this.opener = context.opener
    if (hasSameTargets(this, next)) return
    this.targets = context.targets
    const { reply } = this.request.exchange
    const [only, ...others] = context.targets
    if (only === undefined) return void reply.finish?.()
    if (this.#lone !== undefined && !context.targets.includes(this.#lone)) {
      this.#lone = undefined
      // its part of the stream ends; what was merged beside it is opened again below
      reply.watcher?.onClose()
      this.#merged = undefined
      reply.openStream()
      if (others.length === 0) {
        this.#lone = only
        return next.relayLone(this.request, only)
      }
    }
    this.#merge(next)
  }

  #merge({ context, createSource }: Successor): void {
    const heard = context.targets.filter((target) => target !== this.#lone)
    const bound: Request = { ...this.request, bindsIds: true }
    const make = (target: Target) => createSource(bound, target, this.#last)
    if (this.#merged !== undefined) return this.#merged.hear(heard, make)
    const { reply } = this.request.exchange
    const beside = this.#lone === undefined ? undefined : reply.watcher
    const gate: MergeOptions['reply'] = {
      watcher: undefined,
      write: (events) => reply.write(events),
    }
    this.#merged = mergeStreams({ reply: gate, sources: heard.map(make), clock: context.clock })
    reply.watcher = both(beside, gate)
  }
}

function both(first: ReplyWatcher | undefined, gate: MergeOptions['reply']): ReplyWatcher {
  return {
    onDrain() {
      first?.onDrain()
      gate.watcher?.onDrain()
    },
    onClose() {
      first?.onClose()
      gate.watcher?.onClose()
    },
  }
}
