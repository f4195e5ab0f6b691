import type { Caller } from '../auth/credential.js'
import type { Exchange, ExchangeRecord } from '../gateway/exchange.js'
import type { TargetFailure } from '../gateway/failure.js'
import { encodeHeaderValue, envelopeVersion, isModern, namedBy } from '../mcp/headers.js'
import type { Message } from '../mcp/message.js'
import { lastEventIdHeader } from '../mcp/sse.js'
import type { MessageReply } from './message-reply.js'
import type { BridgeSession } from './session.js'

export interface ExchangeOptions {
  session: BridgeSession
  reply: MessageReply
  caller: Caller
  /** Absent for GET and DELETE. */
  message?: Message
  lastEventId?: string | undefined
  intercept?(failure: TargetFailure): boolean
}

/** One message on its way through the gateway, with the headers that it would have over HTTP. */
export class BridgeExchange implements Exchange {
  readonly caller: Caller
  readonly reply: MessageReply
  readonly record: ExchangeRecord
  readonly #options: ExchangeOptions
  readonly #modern: boolean

  constructor(options: ExchangeOptions) {
    const { caller, reply, message } = options
    this.caller = caller
    this.reply = reply
    this.record = { method: '', tool: undefined, target: undefined, failure: undefined }
    this.#options = options
    this.#modern = message !== undefined && isModern(message)
  }

  header(name: string): string | undefined {
    const { message, session, lastEventId } = this.#options
    if (name === 'last-event-id') return lastEventId && lastEventIdHeader(lastEventId)
    if (message !== undefined && this.#modern) return modernHeader(message, name)
    if (message?.method === 'initialize') return undefined
    if (name === 'mcp-session-id') return session.sealed
    return name === 'mcp-protocol-version' ? session.version : undefined
  }

  extraHeaders(): string[] {
    return []
  }

  intercept(failure: TargetFailure): boolean {
    return this.#options.intercept?.(failure) ?? false
  }
}

/** What stands in the body of a modern request stands in its headers too. */
function modernHeader(message: Message, name: string): string | undefined {
  if (name === 'mcp-method') return message.method
  if (name === 'mcp-protocol-version') return envelopeVersion(message)
  if (name !== 'mcp-name') return undefined
  const value = namedBy(message)
  return value === undefined ? undefined : encodeHeaderValue(value)
}
