import { eachValue, numberOf } from '../../mcp/incoming.js'
import { findMember, memberText, putMembers, replaceAt, replaceParts } from '../../mcp/json-text.js'
import { notificationText } from '../../mcp/jsonrpc.js'
import { META } from '../../mcp/meta.js'
import { messageOf } from '../../util/errors.js'
import { isDeeper, isObject, type JsonObject } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { codedError, UpstreamError } from '../upstream-error.js'
import type { ClientSession, OpenCall } from './client-session.js'
import type { CallEnd, PendingCall } from './pending-call.js'
import { createServerRequests, type ServerRequests } from './server-requests.js'
import type { SharedRequest } from './shared-request.js'

/** In the session-based protocol, a client that leaves has not cancelled: its call may take that long. */
const ABANDONED_MS = 300_000

/** The server is not read while one call has more than this waiting for its client. */
const MAX_KEPT_BYTES = 1024 * 1024

/** The member of a message on a subscription's stream that names the request which opened it. */
const SUBSCRIPTION = ['_meta', META.subscriptionId] as const

export interface SharedConnectionOptions {
  clock: Pick<Clock, 'after'>
  /**
   * Sends a message to the server.
   *
   * @param request The client's request that carried it; absent for messages that are made here.
   */
  transmit(text: string, request?: SharedRequest): void
  /** Stops reading what the server sends, or goes on. */
  flow(paused: boolean): void
  /** Gets what is no JSON-RPC message. */
  onGarbage(text: string): void
}

/**
 * One connection to a server, for one client or several. Ids and progress tokens are replaced by
 * numbers of our own and put back as they were written, so that each answer reaches the client that
 * sent the request, and no other.
 */
export class SharedConnection {
  readonly sessions = new Set<ClientSession>()
  readonly #options: SharedConnectionOptions
  readonly #open = new Map<number, OpenCall>()
  readonly #serverRequests: ServerRequests
  #count = 0
  #isPaused = false

  constructor(options: SharedConnectionOptions) {
    this.#options = options
    this.#serverRequests = createServerRequests(this.sessions, (text) => options.transmit(text))
  }

  /** Counts the requests under way, also those whose clients left. */
  get running(): number {
    return this.#open.size
  }

  /** Sends a client's request. */
  request(
    session: ClientSession,
    text: string,
    call: PendingCall,
    { origin, isStateless = false }: { origin?: SharedRequest; isStateless?: boolean } = {},
  ): void {
    const id = findMember(text, 0, 'id')
    if (id === undefined) return call.fail(codedError('ECONNRESET'))
    this.#count += 1
    const number = this.#count
    const token = findMember(text, 0, 'params', '_meta', 'progressToken')
    const parts = [id, token].filter((place) => place !== undefined)
    const open: OpenCall = {
      ...{ session, call, id: text.slice(id.start, id.end) },
      token: token && text.slice(token.start, token.end),
      cancelTimer: () => {},
    }
    this.#open.set(number, open)
    session.calls.add(call)
    call.onOver = (end) => this.#onOver(number, open, end, isStateless)
    call.onCaughtUp = () => this.#regulate()
    const mapped = parts.map(({ start, end }) => ({ start, end, text: String(number) }))
    this.#options.transmit(replaceParts(text, mapped), origin)
  }

  /** In the stateless protocol a client that leaves has cancelled; in the session-based one it has not. */
  #onOver(number: number, open: OpenCall, end: CallEnd, isStateless: boolean): void {
    open.session.calls.delete(open.call)
    if (!this.#open.has(number)) return
    const cancel = () => {
      this.#open.delete(number)
      this.#options.transmit(notificationText('notifications/cancelled', { requestId: number }))
    }
    if (end === 'answered') this.#open.delete(number)
    else if (end === 'failed' || isStateless) cancel()
    else open.cancelTimer = this.#options.clock.after(ABANDONED_MS, cancel)
  }

  /**
   * Sends a client's notification, or its answer to a request of the server.
   *
   * @returns False when it belongs to no request that is under way, and was not sent.
   */
  tell(session: ClientSession, message: JsonObject, text: string, origin?: SharedRequest): boolean {
    const sent =
      'method' in message
        ? this.#mapCancelled(session, message, text)
        : this.#serverRequests.answer(session, message, text)
    if (sent === undefined) return false
    this.#options.transmit(sent, origin)
    return true
  }

  #mapCancelled(session: ClientSession, message: JsonObject, text: string): string | undefined {
    if (message['method'] !== 'notifications/cancelled') return text
    const written = memberText(text, 'params', 'requestId')
    for (const [number, open] of this.#open) {
      if (open.session === session && open.id === written) {
        return replaceAt(text, ['params', 'requestId'], String(number))
      }
    }
    return undefined
  }

  /** Takes what the server sent. */
  take(data: string): void {
    eachValue(data, (message, text) => this.#takeOne(message, text))
  }

  #takeOne(message: unknown, text: string): void {
    if (!isObject(message) || message['jsonrpc'] !== '2.0') this.#options.onGarbage(text)
    else if (message['method'] === undefined) this.#takeAnswer(message, text)
    else if (typeof message['method'] !== 'string') this.#options.onGarbage(text)
    else if (message['id'] === undefined) this.#takeNotification(message, text)
    else this.#serverRequests.take(message['method'], text)
  }

  #takeAnswer({ id, result, error }: JsonObject, text: string): void {
    const number = numberOf(id, isObject(error), this.#open)
    const open = number === undefined ? undefined : this.#open.get(number)
    if (number === undefined || open === undefined)
      return id == null ? this.#options.onGarbage(text) : undefined
    if (result === undefined && !isObject(error)) return this.#options.onGarbage(text)
    this.#open.delete(number)
    open.cancelTimer()
    const restored = replaceAt(text, ['result', ...SUBSCRIPTION], open.id)
    open.call.answer(putMembers(restored, { id: open.id }))
  }

  #takeNotification({ method, params }: JsonObject, text: string): void {
    if (method === 'notifications/cancelled') return this.#serverRequests.takeBack(text)
    const token = isObject(params) ? params['progressToken'] : undefined
    if (method === 'notifications/progress') {
      const open = this.#open.get(token as number)
      if (open?.token !== undefined) {
        this.#event(open, replaceAt(text, ['params', 'progressToken'], open.token))
      }
      return
    }
    const subscribed = memberText(text, 'params', ...SUBSCRIPTION)
    if (subscribed !== undefined) {
      const open = this.#open.get(Number(subscribed))
      if (open === undefined) return
      return this.#event(open, replaceAt(text, ['params', ...SUBSCRIPTION], open.id))
    }
    for (const session of this.sessions) session.deliver(text)
    this.#regulate()
  }

  #event({ call }: OpenCall, text: string): void {
    if (!call.isOver) call.event(text)
    this.#regulate()
  }

  /** Ends the session of a client, and fails its calls. */
  leave(session: ClientSession): void {
    this.sessions.delete(session)
    session.end()
    for (const call of [...session.calls]) call.fail(codedError('ECONNRESET'))
    this.#serverRequests.leave(session)
  }

  /** The connection is gone: fails all calls and ends all sessions. */
  fail(error: Error): void {
    for (const [number, { call, cancelTimer }] of [...this.#open]) {
      this.#open.delete(number)
      cancelTimer()
      call.fail(error)
    }
    this.#serverRequests.clear()
    for (const session of this.sessions) session.end()
    this.sessions.clear()
  }

  /** Gives up all that is under way; the connection stays. */
  refuseOpen(error: Error): void {
    for (const { call } of [...this.#open.values()]) call.fail(error)
  }

  /** Reads the server no faster than the slowest client with a call under way reads. */
  #regulate(): void {
    let isBehind = false
    for (const { call } of this.#open.values()) isBehind ||= call.keptBytes > MAX_KEPT_BYTES
    if (isBehind === this.#isPaused) return
    this.#isPaused = isBehind
    this.#options.flow(isBehind)
  }
}

/** Far more than any result of a tool needs. */
const MAX_DEPTH = 1_000

/**
 * Hands what a server wrote to its connection.
 *
 * @returns Why it cannot be handled; the connection is then to be closed.
 */
export function problemWith(
  data: string,
  connection: Pick<SharedConnection, 'take'>,
): UpstreamError | undefined {
  if (isDeeper(data, MAX_DEPTH)) return unreadable(`nested deeper than ${MAX_DEPTH}`)
  try {
    connection.take(data)
    return undefined
  } catch (error) {
    return unreadable(messageOf(error))
  }
}

function unreadable(why: string): UpstreamError {
  const reason = `its process wrote what cannot be read (${why}), and was ended`
  return new UpstreamError('invalid_answer', reason)
}
