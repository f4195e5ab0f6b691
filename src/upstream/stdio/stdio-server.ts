import { randomUUID } from 'node:crypto'
import { memberText, replaceAt } from '../../mcp/json-text.js'
import { olderVersion, SESSION_BASED_VERSIONS } from '../../mcp/versions.js'
import { BoundedMap } from '../../util/bounded-map.js'
import { type JsonObject, objectMember, tryParseJson } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { ClientSession } from '../shared/client-session.js'
import { PendingCall } from '../shared/pending-call.js'
import { problemWith, SharedConnection } from '../shared/shared-connection.js'
import { isRequest, type SharedRequest } from '../shared/shared-request.js'
import { noRoom, UpstreamError } from '../upstream-error.js'
import { type ChildOptions, type StdioChild, startChild } from './stdio-child.js'

const MAX_SESSIONS = 1_000

/** The session of one client, and when it was last used, in milliseconds since the epoch. */
interface Member {
  readonly session: ClientSession
  usedAt: number
}

/** One process of a target, with all sessions of one caller. It is initialized once for all of them. */
export class StdioServer {
  readonly #options: ServerOptions
  readonly #connection: SharedConnection
  readonly #members = new BoundedMap<string, Member>(MAX_SESSIONS, ({ session }) =>
    this.#connection.leave(session),
  )
  /** Holds the requests of the stateless protocol, which belong to no session. */
  readonly #stateless: ClientSession
  #child: StdioChild | undefined
  #initialized: Promise<string> | undefined
  #isReady = false
  #usedAt: number

  private constructor(options: ServerOptions) {
    this.#options = options
    this.#usedAt = options.clock.now()
    this.#stateless = new ClientSession({}, options.memory)
    this.#connection = new SharedConnection({
      clock: options.clock,
      transmit: (text) => this.#child?.write(text),
      flow: (paused) => this.#child?.flow(paused),
      onGarbage: options.onGarbage,
    })
  }

  /** @throws {UpstreamError} when the program cannot be started. */
  static async start(options: ServerOptions): Promise<StdioServer> {
    const server = new StdioServer(options)
    server.#child = await startChild({
      ...options,
      onLine(line) {
        const problem = server.isEnding ? undefined : problemWith(line, server.#connection)
        if (problem !== undefined) server.#fails(problem)
      },
      onTooLong: () => options.onGarbage('a line of more than 32 MiB'),
      // nobody knows whose answer it was
      onNoRoom: () => server.#connection.refuseOpen(noRoom()),
      onEnd(error, wanted) {
        server.#members.clear()
        options.onEnd(error, wanted)
        server.#connection.fail(error)
      },
    })
    return server
  }

  /** Ends this process for a line that cannot be handled. */
  #fails(error: UpstreamError): void {
    this.#options.onHostile(error.message)
    this.#members.clear()
    void this.end()
    this.#connection.fail(error)
  }

  /** The process takes no further messages. */
  get isEnding(): boolean {
    return this.#child?.isEnding === true
  }

  /** Since when nobody uses it, milliseconds since the epoch; `undefined` while somebody does. */
  get idleSince(): number | undefined {
    let { isBusy } = this.#stateless
    for (const { session } of this.#members.values()) isBusy ||= session.isBusy
    return isBusy || this.#connection.running > 0 ? undefined : this.#usedAt
  }

  /** Ends the sessions that were last used before a time, and notes which are in use now. */
  sweep(now: number, before: number): void {
    if (this.idleSince === undefined) this.#usedAt = now
    for (const [id, member] of this.#members) {
      if (member.session.isBusy) member.usedAt = now
      else if (member.usedAt < before) this.leave(id)
    }
  }

  /** Answers `initialize` with the program's answer to the first one. */
  async initialize({ call, message = {}, text }: SharedRequest): Promise<void> {
    const params = objectMember(message, 'params') ?? {}
    this.#initialized ??= this.ask(text)
    try {
      const answer = await this.#initialized
      const result = objectMember(tryParseJson(answer), 'result')
      if (result === undefined) this.#initialized = undefined
      else if (!call.isOver) call.sessionId = this.#join(objectMember(params, 'capabilities'))
      const own = replaceAt(answer, ['id'], memberText(text, 'id') ?? 'null')
      call.answer(withVersion(own, result?.['protocolVersion'], params['protocolVersion']))
    } catch (error) {
      call.fail(error as Error)
      void this.end()
    }
  }

  /** Sends a request of our own. Rejects when no answer comes within `startMs`. */
  ask(text: string): Promise<string> {
    this.#usedAt = this.#options.clock.now()
    const { clock, startMs } = this.#options
    return new Promise((resolve, reject) => {
      let answer = ''
      const call = new PendingCall(
        {
          onResponseData(_controller, chunk) {
            answer += chunk
          },
          onResponseEnd: () => resolve(answer),
          onResponseError(_controller, error) {
            const reason = `its process did not answer within ${startMs / 1000} s of its start`
            reject(error instanceof UpstreamError ? error : new UpstreamError('timeout', reason))
          },
        },
        clock,
        { headersTimeout: startMs, bodyTimeout: startMs },
      )
      this.#connection.request(new ClientSession(), text, call)
    })
  }

  #join(capabilities: JsonObject | undefined): string {
    const id = randomUUID()
    const { memory, clock } = this.#options
    const session = new ClientSession(capabilities, memory)
    this.#members.set(id, { session, usedAt: clock.now() })
    this.#connection.sessions.add(session)
    return id
  }

  /** Finds a session of this process, and marks it as used. */
  use(id: string | undefined): ClientSession | undefined {
    const member = id === undefined ? undefined : this.#members.get(id)
    if (member === undefined) return undefined
    this.#usedAt = this.#options.clock.now()
    member.usedAt = this.#usedAt
    return member.session
  }

  /** Takes a message of a session: a request, a notification or an answer. */
  post(session: ClientSession, { call, message = {}, text }: SharedRequest): void {
    if (this.#refuses(call, message)) return
    if (isRequest(message)) return this.#connection.request(session, text, call)
    const isReadiness = message['method'] === 'notifications/initialized'
    // the process hears it once, from the first client
    if (!isReadiness || !this.#isReady) this.#connection.tell(session, message, text)
    this.#isReady ||= isReadiness
    call.respond(202, {})
  }

  /** Takes a message of the stateless protocol. */
  postStateless({ call, message = {}, text }: SharedRequest): void {
    this.#usedAt = this.#options.clock.now()
    if (this.#refuses(call, message)) return
    if (!isRequest(message)) return call.respond(202, {})
    this.#connection.sessions.add(this.#stateless)
    this.#connection.request(this.#stateless, text, call, { isStateless: true })
  }

  #refuses(call: PendingCall, message: JsonObject): boolean {
    const { requests } = this.#options
    if (this.#child?.isDeaf) {
      call.fail(new UpstreamError('http_status', 'its process does not read what it is sent', 503))
    } else if (isRequest(message) && this.#connection.running >= requests) {
      const reason = `it has ${requests} requests of this caller under way, which is the most`
      call.fail(new UpstreamError('http_status', reason, 429))
    }
    return call.isOver
  }

  /** Ends a session. */
  leave(id: string): void {
    const member = this.#members.get(id)
    this.#members.delete(id)
    if (member !== undefined) this.#connection.leave(member.session)
  }

  /** Ends the process. */
  async end(): Promise<void> {
    await this.#child?.end()
  }
}

/**
 * Puts the version that a client requested into the program's answer to `initialize`, when it is older
 * than the one that the program agreed on with the first client.
 *
 * @param spoken The version in the answer.
 */
function withVersion(text: string, spoken: unknown, requested: unknown): string {
  const known = SESSION_BASED_VERSIONS.find((version) => version === requested)
  if (known === undefined || typeof spoken !== 'string') return text
  return replaceAt(text, ['result', 'protocolVersion'], JSON.stringify(olderVersion(known, spoken)))
}

interface ServerOptions extends Omit<ChildOptions, 'onLine' | 'onTooLong' | 'onNoRoom'> {
  clock: Pick<Clock, 'after' | 'now'>
  /** The most requests under way at once. */
  requests: number
  /** How many milliseconds the answer to the first request may take. */
  startMs: number
  /** Gets output that is no message. */
  onGarbage(text: string): void
  /** Gets the reason when the process is ended for what it wrote. */
  onHostile(reason: string): void
}
