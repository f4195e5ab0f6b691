import { randomBytes } from 'node:crypto'
import { memberText, memberTexts, objectText, putMembers } from '../../mcp/json-text.js'
import type { Message } from '../../mcp/message.js'
import {
  isObject,
  type JsonObject,
  ownMember,
  setMember,
  stringMember,
  tryParseJson,
} from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import type { PendingCall } from '../shared/pending-call.js'
import type { TranslatedSession } from './translated-session.js'

/** A request that the client has to answer before the server goes on. */
export interface InputRequest {
  /** The server's name for it. */
  readonly key: string
  readonly method: string
  /** As JSON. */
  readonly params: string
}

/** What a server needs before it can answer. */
export interface RequiredInput {
  readonly requests: readonly InputRequest[]
  /** JSON that goes back to the server unchanged. */
  readonly state: string | undefined
}

/** How the ids of the requests begin that are made here for clients. */
export const INPUT_REQUEST_PREFIX = 'mcp-descope-proxy/question/'

/** A person may have to answer. */
const LONGEST_WAIT_MS = 10 * 60_000

const CAPABILITY_OF: ReadonlyMap<string, string> = new Map([
  ['elicitation/create', 'elicitation'],
  ['sampling/createMessage', 'sampling'],
  ['roots/list', 'roots'],
])

/** Reads a result whose `resultType` is `input_required`. */
export function readRequiredInput(response: string): RequiredInput {
  const result = objectText(response, 'result')
  const requests = memberTexts(objectText(result, 'inputRequests')).map(([key, request]) => ({
    key,
    method: String(tryParseJson(memberText(request, 'method') ?? '')),
    params: objectText(request, 'params'),
  }))
  return { requests, state: memberText(result, 'requestState') }
}

/** Says why a client cannot be asked; `undefined` when it can. */
export function whyNotAsk(request: InputRequest, known: JsonObject): string | undefined {
  const { method } = request
  const capability = CAPABILITY_OF.get(method)
  if (capability === undefined) return `${JSON.stringify(method)} is no request for clients`
  const declared = ownMember(known, capability)
  if (!isObject(declared)) return `this client has no ${capability}`
  const isLacking = opensUrl(request) && !isObject(declared['url'])
  return isLacking ? 'this client opens no URLs' : undefined
}

/** In the session-based protocol, a request to open a URL has an id. */
function opensUrl({ method, params }: InputRequest): boolean {
  return method === 'elicitation/create' && memberText(params, 'mode') === '"url"'
}

export interface InputRequestsOptions {
  clock: Pick<Clock, 'after'>
  call: PendingCall
  session: TranslatedSession
  /** Gets the results as JSON texts, by the server's own keys. */
  onAnswered(results: Record<string, string>): void
  onFailed(reason: string): void
}

/** Sends requests to a client on the stream of its call, and waits until all are answered. */
export class InputRequests {
  readonly #options: InputRequestsOptions
  readonly #open = new Map<string, InputRequest>()
  readonly #results: Record<string, string> = {}
  #cancelTimer = () => {}

  constructor(options: InputRequestsOptions) {
    this.#options = options
  }

  ask(requests: readonly InputRequest[]): void {
    const { call, session, clock } = this.#options
    this.#cancelTimer = clock.after(LONGEST_WAIT_MS, () =>
      this.#fail(`The client did not answer within ${LONGEST_WAIT_MS / 1000} s`),
    )
    for (const request of requests) {
      const id = `${INPUT_REQUEST_PREFIX}${randomBytes(16).toString('base64url')}`
      this.#open.set(id, request)
      session.asked.set(id, (answer) => this.#take(id, request, answer))
      const method = JSON.stringify(request.method)
      const params = opensUrl(request)
        ? putMembers(request.params, { elicitationId: JSON.stringify(id) })
        : request.params
      call.event(`{"jsonrpc":"2.0","id":"${id}","method":${method},"params":${params}}`)
    }
  }

  /** Cancels the requests that are not answered yet. */
  stop(): void {
    this.#cancelTimer()
    const { call, session } = this.#options
    for (const id of this.#open.keys()) {
      session.asked.delete(id)
      const params = { requestId: id, reason: 'It is not needed any more' }
      const method = 'notifications/cancelled'
      call.event(JSON.stringify({ jsonrpc: '2.0', method, params }))
    }
    this.#open.clear()
  }

  #take(id: string, { key, method }: InputRequest, answer: Message): void {
    const { session, onAnswered } = this.#options
    session.asked.delete(id)
    this.#open.delete(id)
    const result = memberText(answer.text, 'result')
    if (result === undefined) {
      const error = tryParseJson(objectText(answer.text, 'error')) as JsonObject
      return this.#fail(`The client refused ${method}: ${stringMember(error, 'message') ?? ''}`)
    }
    setMember(this.#results, key, result)
    if (this.#open.size > 0) return
    this.#cancelTimer()
    onAnswered(this.#results)
  }

  #fail(reason: string): void {
    this.stop()
    this.#options.onFailed(reason)
  }
}

interface InputRoundsOptions {
  clock: Pick<Clock, 'after'>
  call: PendingCall
  session: TranslatedSession
  /** Sends the request again with more members of `params`, as JSON texts. */
  onReady(params: Record<string, string>): void
  onFailed(reason: string): void
}

const MAX_ROUNDS = 10

/** Where a server has no request and only wants the call again, the first pause; it doubles each time. */
const FIRST_PAUSE_MS = 100

/**
 * The rounds in which a server asks for input before it answers a request, with a client of the
 * session-based protocol.
 *
 * @see [MCP 2026-07-28, multi round-trip requests](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr)
 */
export class InputRounds {
  readonly #options: InputRoundsOptions
  #requests: InputRequests | undefined
  #count = 0

  constructor(options: InputRoundsOptions) {
    this.#options = options
  }

  /** A request to the client is not answered yet. */
  get isAsking(): boolean {
    return this.#requests !== undefined
  }

  /** Takes a response whose `resultType` is `input_required`. */
  take(response: string): void {
    const { clock, call, session, onReady, onFailed } = this.#options
    const { requests, state } = readRequiredInput(response)
    const stateMember: Record<string, string> = state === undefined ? {} : { requestState: state }
    this.#count += 1
    if (this.#count > MAX_ROUNDS) {
      return onFailed(`The target needed its client more than ${MAX_ROUNDS} times`)
    }
    if (requests.length === 0) {
      clock.after(FIRST_PAUSE_MS * 2 ** (this.#count - 1), () => onReady(stateMember))
      return
    }
    for (const request of requests) {
      const reason = whyNotAsk(request, session.client.capabilities)
      if (reason !== undefined) return onFailed(`The target needs its client, but ${reason}`)
    }
    this.#requests = new InputRequests({
      ...{ clock, call, session },
      onAnswered: (results) => {
        this.#requests = undefined
        onReady({ inputResponses: putMembers('{}', results), ...stateMember })
      },
      onFailed,
    })
    this.#requests.ask(requests)
  }

  /** Cancels what the client did not answer yet. */
  stop(): void {
    this.#requests?.stop()
    this.#requests = undefined
  }
}
