import type { Caller } from '../auth/credentials/credential.js'
import type { SignInNeed } from '../auth/tokens/token-store.js'
import type { Exchange, ExchangeRecord } from '../gateway/exchange.js'
import {
  credentialFailure,
  failureError,
  type TargetFailure,
} from '../gateway/forwarding/target-failure.js'
import type { Gateway } from '../gateway/gateway.js'
import { encodeHeaderValue, envelopeVersion, isStateless, mcpNameOf } from '../mcp/headers.js'
import { errorResponse, ownId, type RequestId } from '../mcp/jsonrpc.js'
import { type Message, parseMessageText } from '../mcp/message.js'
import { lastEventIdHeader } from '../mcp/sse.js'
import { mayMeanOtherPath } from '../util/failure.js'
import { isObject, type JsonObject, tryParseJson } from '../util/json.js'
import type { Backlog, HostConnection } from './host.js'
import { type Hooks, MessageReply, type ReplyListener, RequestListener } from './requests.js'

export interface GatewayClientOptions {
  gateway: Gateway
  session: BridgeSession
  host: HostConnection
  backlog: Backlog
  /** Name of the target, for people. */
  target: string
  /** Who is signed in. Rejects with a `SignInRequiredError` when nobody is and somebody has to be. */
  caller: () => Caller | Promise<Caller>
  /** Guesses, where a target answers as if there were no MCP, which endpoint was meant. */
  guessEndpoint?: ((target: string) => string | undefined) | undefined
  /** A message that nobody waits for was refused, because somebody has to sign in first. */
  onUnsent?(message: Message, need: SignInNeed): void
  /** One of several targets is left out of an answer until somebody signs in to it. */
  onLeftOut?: ((need: SignInNeed) => void) | undefined
}

/** The result of a request of our own. */
export type GatewayOutcome =
  | { ok: true; result: JsonObject; sessionId: string | undefined }
  | { ok: false; failure: TargetFailure | undefined; text: string }

/** The way from the bridge to the target: every message goes through the gateway. */
export class GatewayClient {
  readonly #options: GatewayClientOptions

  constructor(options: GatewayClientOptions) {
    this.#options = options
  }

  /** Sends a request of the host. Messages that precede the answer go to the host as they come. */
  request(message: Message, hooks: Hooks): MessageReply {
    const listener = new RequestListener(message.id as RequestId, this.#options.host, hooks)
    return this.#post(message, listener, (failure) => hooks.failed(failure))
  }

  /**
   * Sends a notification, or the host's answer to a request of the target; nobody waits for it.
   *
   * @returns A promise that resolves when it is taken or refused.
   */
  send(message: Message): Promise<void> {
    const release = this.#options.backlog.take(message.text.length)
    return new Promise((resolve) => {
      const done = () => {
        release()
        resolve()
      }
      const listener = { answer: done, empty: done, event() {}, ended: done }
      this.#post(message, listener, (failure) => {
        done()
        if (failure.need !== undefined) this.#options.onUnsent?.(message, failure.need)
        return true
      })
    })
  }

  notify(method: string, params: JsonObject = {}): void {
    void this.send(parseMessageText(JSON.stringify({ jsonrpc: '2.0', method, params })))
  }

  /** Sends a request of our own. */
  ask(method: string, params: JsonObject): Promise<GatewayOutcome> {
    const id = ownId()
    const message = parseMessageText(JSON.stringify({ jsonrpc: '2.0', id, method, params }))
    return new Promise((resolve) => {
      let failure: TargetFailure | undefined
      this.request(message, {
        answered: (text, sessionId) => resolve(readOutcome(text, sessionId, failure)),
        failed(found) {
          failure = found
          return false
        },
        cut: () => resolve({ ok: false, failure, text: 'the answer was cut off' }),
      })
    })
  }

  /** Opens the stream of what the target sends by itself, or goes on with one. */
  listen(
    listener: ReplyListener,
    lastEventId: string | undefined,
    intercept: (failure: TargetFailure) => boolean,
  ): MessageReply {
    const { gateway } = this.#options
    return this.#exchange(listener, { lastEventId, intercept }, (exchange) =>
      gateway.listen(exchange),
    )
  }

  /** Ends the session at the target; resolves in any case. */
  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#options.session.sealed === undefined) return resolve()
      const done = () => resolve()
      const listener = { answer: done, empty: done, event: done, ended: done }
      this.#exchange(listener, {}, (exchange) => this.#options.gateway.end(exchange))
    })
  }

  #post(
    message: Message,
    listener: ReplyListener,
    intercept: (failure: TargetFailure) => boolean,
  ): MessageReply {
    const { gateway } = this.#options
    return this.#exchange(listener, { message, intercept }, (exchange) =>
      gateway.post(exchange, message),
    )
  }

  #exchange(
    listener: ReplyListener,
    parts: {
      message?: Message
      lastEventId?: string | undefined
      intercept?(failure: TargetFailure): boolean
    },
    go: (exchange: BridgeExchange) => void,
  ): MessageReply {
    const { session, host, target, guessEndpoint, onLeftOut } = this.#options
    const intercept = (failure: TargetFailure) => {
      const meant = isElsewhere(failure) ? guessEndpoint?.(failure.target) : undefined
      if (meant !== undefined) failure.reason += `. ${meant}`
      return parts.intercept?.(failure) ?? false
    }
    const reply = new MessageReply(listener, host)
    const start = (caller: Caller) =>
      go(new BridgeExchange({ session, reply, caller, onLeftOut, ...parts, intercept }))
    const refuse = (error: unknown) => {
      const failure = credentialFailure(target, error)
      if (parts.intercept?.(failure)) return
      reply.json(200, errorResponse(parts.message?.id ?? null, failureError(failure)))
    }
    try {
      const caller = this.#options.caller()
      if (caller instanceof Promise) caller.then(start).catch(refuse)
      else start(caller)
    } catch (error) {
      refuse(error)
    }
    return reply
  }
}

/** The target answers, and perhaps there is no MCP at this path. */
function isElsewhere({ cause, httpStatus = 0 }: TargetFailure): boolean {
  if (cause === 'invalid_answer') return true
  const mayBe = cause === 'http_status' || cause === 'session_required'
  return mayBe && (mayMeanOtherPath(httpStatus) || (httpStatus >= 300 && httpStatus < 400))
}

function readOutcome(
  text: string,
  sessionId: string | undefined,
  failure: TargetFailure | undefined,
): GatewayOutcome {
  const message = tryParseJson(text)
  const result = isObject(message) ? message['result'] : undefined
  if (isObject(result)) return { ok: true, result, sessionId }
  return { ok: false, failure, text }
}

interface ExchangeOptions extends Pick<GatewayClientOptions, 'onLeftOut'> {
  session: BridgeSession
  reply: MessageReply
  caller: Caller
  /** Absent for GET and DELETE. */
  message?: Message
  lastEventId?: string | undefined
  intercept?(failure: TargetFailure): boolean
}

/** One message on its way through the gateway, with the headers that it would have over HTTP. */
class BridgeExchange implements Exchange {
  readonly caller: Caller
  readonly reply: MessageReply
  readonly record: ExchangeRecord
  readonly #options: ExchangeOptions
  readonly #stateless: boolean

  constructor(options: ExchangeOptions) {
    const { caller, reply, message } = options
    this.caller = caller
    this.reply = reply
    this.record = { method: '', tool: undefined, target: undefined, failure: undefined }
    this.#options = options
    this.#stateless = message !== undefined && isStateless(message)
  }

  header(name: string): string | undefined {
    const { message, session, lastEventId } = this.#options
    if (name === 'last-event-id') return lastEventId && lastEventIdHeader(lastEventId)
    if (message !== undefined && this.#stateless) return statelessHeader(message, name)
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

  leftOut({ need }: TargetFailure): void {
    if (need !== undefined) this.#options.onLeftOut?.(need)
  }
}

/** A stateless request repeats parts of its body in its headers. */
function statelessHeader(message: Message, name: string): string | undefined {
  if (name === 'mcp-method') return message.method
  if (name === 'mcp-protocol-version') return envelopeVersion(message)
  if (name !== 'mcp-name') return undefined
  const value = mcpNameOf(message)
  return value === undefined ? undefined : encodeHeaderValue(value)
}

/** What the target agreed to, as every later request must say. One for the life of the bridge. */
export interface BridgeSession {
  /** The gateway's session id, when the target gave one. */
  sealed: string | undefined
  /** The protocol version; `undefined` before `initialize` was answered. */
  version: string | undefined
  /** The host's `initialize` parameters. */
  hostParams: JsonObject | undefined
  /** Capabilities of the target; `undefined` before they are known. */
  capabilities: JsonObject | undefined
}

/** Creates the session that nobody has opened yet. */
export function createSession(): BridgeSession {
  return {
    sealed: undefined,
    version: undefined,
    hostParams: undefined,
    capabilities: undefined,
  }
}
