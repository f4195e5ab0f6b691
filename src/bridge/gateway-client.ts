import type { Caller } from '../auth/credentials/credential.js'
import type { SignInNeed } from '../auth/tokens/token-store.js'
import type { Exchange } from '../gateway/exchange.js'
import {
  credentialFailure,
  failureError,
  type TargetFailure,
} from '../gateway/forwarding/target-failure.js'
import type { Gateway } from '../gateway/gateway.js'
import { encodeHeaderValue, mcpNameOf } from '../mcp/headers.js'
import {
  errorResponse,
  notificationText,
  ownId,
  type RequestId,
  requestText,
} from '../mcp/jsonrpc.js'
import { envelopeVersion, isStateless, type Message, parseMessageText } from '../mcp/message.js'
import { lastEventIdHeader } from '../mcp/sse.js'
import { mayMeanOtherPath } from '../util/failure.js'
import { type JsonObject, objectMember, tryParseJson } from '../util/json.js'
import type { Backlog, HostConnection } from './host.js'
import { type Hooks, listenForAnswer, MessageReply, type ReplyListener } from './requests.js'

export interface GatewayClientOptions {
  gateway: Gateway
  session: BridgeSession
  host: HostConnection
  backlog: Backlog
  /** Name of the target, for people. */
  target: string
  /** Who is signed in. Rejects with a `SignInRequiredError` when nobody is and somebody has to be. */
  caller: () => Caller | Promise<Caller>
  /** Guesses which endpoint was meant, where a target answers as if it had no MCP at this path. */
  guessEndpoint?: ((target: string) => string | undefined) | undefined
  /** A message that gets no answer was refused, because somebody has to sign in first. */
  onUnsent(message: Message, need: SignInNeed): void
  /** One of several targets is left out of an answer until somebody signs in to it. */
  onLeftOut(need: SignInNeed): void
}

/** The result of a request of our own. */
export type GatewayOutcome =
  | { ok: true; result: JsonObject; sessionId: string | undefined }
  | { ok: false; failure: TargetFailure | undefined; text: string }

/** Learns of a failure before it is answered; returns true to take it over, so that no answer comes. */
type Intercept = (failure: TargetFailure) => boolean

export type GatewayClient = ReturnType<typeof createGatewayClient>

/** Creates the bridge's way to the target: every message goes through the gateway. */
export function createGatewayClient(options: GatewayClientOptions) {
  const { gateway, session, host, backlog, target, guessEndpoint, onUnsent, onLeftOut } = options

  /** Sends a request of the host. Messages that precede the answer go to the host as they come. */
  function request(message: Message, hooks: Hooks): MessageReply {
    const listener = listenForAnswer(message.id as RequestId, host, hooks)
    return post(message, listener, (failure) => hooks.failed(failure))
  }

  /**
   * Sends a notification, or the host's answer to a request of the target; it gets no answer itself.
   *
   * @returns A promise that resolves when it is accepted or refused.
   */
  function send(message: Message): Promise<void> {
    const release = backlog.take(message.text.length)
    return new Promise((resolve) => {
      const done = () => {
        release()
        resolve()
      }
      const listener = { answer: done, empty: done, event() {}, ended: done }
      post(message, listener, ({ need }) => {
        done()
        if (need !== undefined) onUnsent(message, need)
        return true
      })
    })
  }

  function notify(method: string): void {
    void send(parseMessageText(notificationText(method, {})))
  }

  /** Sends a request of our own. */
  function call(method: string, params: JsonObject): Promise<GatewayOutcome> {
    const message = parseMessageText(requestText(ownId(), method, params))
    return new Promise((resolve) => {
      let failure: TargetFailure | undefined
      request(message, {
        answered(text, sessionId) {
          const result = objectMember(tryParseJson(text), 'result')
          if (result === undefined) resolve({ ok: false, failure, text })
          else resolve({ ok: true, result, sessionId })
        },
        failed(found) {
          failure = found
          return false
        },
        cut: () => resolve({ ok: false, failure, text: 'the answer was cut off' }),
      })
    })
  }

  /** Opens the stream on which the target sends messages by itself, or goes on behind an event. */
  function listen(
    listener: ReplyListener,
    lastEventId: string | undefined,
    intercept: Intercept,
  ): MessageReply {
    return exchange(listener, { lastEventId, intercept }, gateway.listen)
  }

  /** Ends the session at the target; resolves in any case. */
  function end(): Promise<void> {
    return new Promise((resolve) => {
      if (session.sealed === undefined) return resolve()
      const done = () => resolve()
      exchange({ answer: done, empty: done, event: done, ended: done }, {}, gateway.end)
    })
  }

  function post(message: Message, listener: ReplyListener, intercept: Intercept): MessageReply {
    return exchange(listener, { message, intercept }, (posted) => gateway.post(posted, message))
  }

  function exchange(
    listener: ReplyListener,
    given: { message?: Message; lastEventId?: string | undefined; intercept?: Intercept },
    go: (exchange: Exchange) => void,
  ): MessageReply {
    const { message, lastEventId } = given
    const reply = new MessageReply(listener, host)
    const start = (caller: Caller) => {
      go({
        caller,
        reply,
        record: { method: '', tool: undefined, target: undefined, failure: undefined },
        header:
          message !== undefined && isStateless(message)
            ? (name) => statelessHeader(message, name)
            : (name) => sessionBasedHeader(name, session, message, lastEventId),
        extraHeaders: () => [],
        intercept(failure) {
          const meant = mayBeElsewhere(failure) ? guessEndpoint?.(failure.target) : undefined
          if (meant !== undefined) failure.reason += `. ${meant}`
          return given.intercept?.(failure) ?? false
        },
        leftOut({ need }) {
          if (need !== undefined) onLeftOut(need)
        },
      })
    }
    const refuse = (error: unknown) => {
      const failure = credentialFailure(target, error)
      if (given.intercept?.(failure)) return
      reply.json(200, errorResponse(message?.id ?? null, failureError(failure)))
    }
    try {
      const caller = options.caller()
      if (caller instanceof Promise) caller.then(start).catch(refuse)
      else start(caller)
    } catch (error) {
      refuse(error)
    }
    return reply
  }

  return { request, send, notify, call, listen, end }
}

/** Tells whether the target answers in a way that may mean that there is no MCP at this path. */
function mayBeElsewhere({ cause, httpStatus = 0 }: TargetFailure): boolean {
  if (cause === 'invalid_answer') return true
  const saysStatus = cause === 'http_status' || cause === 'session_required'
  return saysStatus && (mayMeanOtherPath(httpStatus) || (httpStatus >= 300 && httpStatus < 400))
}

/**
 * Returns a header that a message would have over HTTP.
 *
 * @param message Absent for GET and DELETE.
 */
function sessionBasedHeader(
  name: string,
  session: BridgeSession,
  message: Message | undefined,
  lastEventId: string | undefined,
): string | undefined {
  if (name === 'last-event-id') return lastEventId && lastEventIdHeader(lastEventId)
  if (message?.method === 'initialize') return undefined
  if (name === 'mcp-session-id') return session.sealed
  return name === 'mcp-protocol-version' ? session.version : undefined
}

/** A stateless request repeats parts of its body in its headers. */
function statelessHeader(message: Message, name: string): string | undefined {
  if (name === 'mcp-method') return message.method
  if (name === 'mcp-protocol-version') return envelopeVersion(message)
  if (name !== 'mcp-name') return undefined
  const value = mcpNameOf(message)
  return value === undefined ? undefined : encodeHeaderValue(value)
}

/** What the target agreed to, and every later request must repeat. One for the life of the bridge. */
export interface BridgeSession {
  /** The session id that the gateway gave us, when the target gave one to the gateway. */
  sealed: string | undefined
  /** The protocol version; `undefined` before `initialize` was answered. */
  version: string | undefined
  /** The host's `initialize` parameters. */
  hostParams: JsonObject | undefined
  /** Capabilities of the target; `undefined` before they are known. */
  capabilities: JsonObject | undefined
}
