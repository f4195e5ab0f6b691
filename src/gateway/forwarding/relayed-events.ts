import { type Awaited, messageData, readIncoming } from '../../mcp/incoming.js'
import { type EventFields, readEvent, replaceEventId, writeEvent } from '../../mcp/sse.js'
import { ANSWER_PROBLEMS } from '../../upstream/upstream-error.js'
import { LEFT_OUT, type ResponseTransforms } from '../rewriting/response-rewriter.js'

/** Receives what the events of an answer tell. */
export interface EventsOwner {
  /** Writes the error event that replaces an answer which cannot be read. */
  invalid(reason: string): string
  /** Called with the response as the target wrote it. */
  answered(response: string): void
  /** Called for what the client does not get. */
  withheld(what: string): void
}

/** The events of one answer on their way to the client. */
export class RelayedEvents {
  readonly #rewrites: ResponseTransforms
  readonly #awaited: Awaited
  readonly #owner: EventsOwner
  /** The response came. */
  isAnswered = false
  /** An event with an id came: the client can resume, so an early end is not a failure. */
  isResumable = false
  /** The answer cannot be read, and was replaced by an error. */
  isBroken = false

  constructor(rewrites: ResponseTransforms, awaited: Awaited, owner: EventsOwner) {
    this.#rewrites = rewrites
    this.#awaited = awaited
    this.#owner = owner
  }

  /** Returns what replaces an event, or `undefined` when it stays as it is. */
  inspect(event: Buffer): string | undefined {
    const text = event.toString('utf8')
    const fields = readEvent(text)
    if (fields.id !== undefined) this.isResumable = true
    const messages = this.#rewrite(fields)
    if (this.isBroken) return messages?.[0]
    const { eventId } = this.#rewrites
    const isExposed = eventId !== undefined && fields.id !== undefined
    if (messages === undefined && !isExposed) return undefined
    const id = isExposed ? eventId(fields.id as string) : fields.id
    if (messages === undefined) {
      return id === undefined
        ? writeEvent(fields.data ?? '', { ...fields, id })
        : replaceEventId(text, id)
    }
    const kept = messages.filter((message) => message !== LEFT_OUT)
    const last = kept.at(-1)
    if (last === undefined) {
      return messages.length > 0 ? LEFT_OUT : skipped({ id, retry: fields.retry })
    }
    const before = kept.slice(0, -1).map((message) => writeEvent(message))
    return before.join('') + writeEvent(last, { ...fields, id })
  }

  /** Returns the messages that replace an event's data, or `undefined` when it stays as it is. */
  #rewrite(fields: EventFields): readonly string[] | undefined {
    const rewrites = this.#rewrites
    if (!fields.data) return undefined
    if (this.#awaited.id === undefined) {
      const replayed = rewrites.replayed?.(fields.data)
      return replayed === undefined || replayed === fields.data ? undefined : [replayed]
    }
    const data = messageData(fields)
    if (data === undefined) return []
    const messages: string[] = []
    for (const { kind, text } of readIncoming(data, this.#awaited)) {
      if (this.isAnswered) {
        this.#owner.withheld('something behind the answer')
        messages.push(LEFT_OUT)
      } else if (kind === 'foreign') {
        this.isBroken = true
        return [this.#owner.invalid(ANSWER_PROBLEMS.foreign)]
      } else if (kind === 'message') messages.push(rewrites.message?.(text) ?? text)
      else {
        messages.push(rewrites.response?.(Buffer.from(text))?.toString('utf8') ?? text)
        this.#owner.answered(text)
        // not before: where one of these throws, the client is still to be answered
        this.isAnswered = true
      }
    }
    return messages.length === 1 && messages[0] === data ? undefined : messages
  }
}

/** Keeps of an event without a message the id, to resume at, and how long to wait before that. */
function skipped(fields: Pick<EventFields, 'id' | 'retry'>): string {
  return fields.id === undefined && fields.retry === undefined ? '' : writeEvent('', fields)
}
