import { randomBytes } from 'node:crypto'
import { memberText, memberTexts, objectText, putMembers } from '../../mcp/json-text.js'
import { notificationText } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import {
  type JsonObject,
  objectMember,
  ownMember,
  setMember,
  stringMember,
  tryParseJson,
} from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import type { PendingCall } from '../shared/pending-call.js'
import type { TranslatedSession } from './translated-session.js'

/** A request that the client has to answer before the server goes on. */
interface InputRequest {
  /** The server's name for it. */
  readonly key: string
  readonly method: string
  /** As JSON. */
  readonly params: string
}

/** How the ids of the requests begin that are made here for clients. */
export const INPUT_REQUEST_PREFIX = 'mcp-descope-proxy/question/'

/** A person may have to answer. */
const LONGEST_WAIT_MS = 10 * 60_000

const MAX_ROUNDS = 10

/** Where a server has no request and only wants the call again, the first pause; it doubles each time. */
const FIRST_PAUSE_MS = 100

const CAPABILITY_OF: Readonly<Record<string, string>> = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
}

/** Says why a client cannot be sent a request; `undefined` when it can. */
function whyNotAsk(request: InputRequest, known: JsonObject): string | undefined {
  const { method } = request
  const capability = ownMember(CAPABILITY_OF, method)
  if (capability === undefined) return `${JSON.stringify(method)} is no request for clients`
  const declared = objectMember(known, capability)
  if (declared === undefined) return `this client has no ${capability}`
  const isLacking = opensUrl(request) && objectMember(declared, 'url') === undefined
  return isLacking ? 'this client opens no URLs' : undefined
}

/** In the session-based protocol, a request to open a URL has an id. */
function opensUrl({ method, params }: InputRequest): boolean {
  return method === 'elicitation/create' && memberText(params, 'mode') === '"url"'
}

interface InputRoundsOptions {
  clock: Pick<Clock, 'after'>
  call: PendingCall
  session: TranslatedSession
  /** Sends the request again with more members of `params`, as JSON texts. */
  onReady(params: Record<string, string>): void
  onFailed(reason: string): void
}

export type InputRounds = ReturnType<typeof createInputRounds>

/**
 * The rounds in which a server requests input before it answers a request, with a client of the
 * session-based protocol: its requests go to the client on the stream of the call.
 *
 * @see [MCP 2026-07-28, multi round-trip requests](https://modelcontextprotocol.io/specification/2026-07-28/basic/patterns/mrtr)
 */
export function createInputRounds(options: InputRoundsOptions) {
  const { clock, call, session, onReady, onFailed } = options
  /** The requests of this round that the client has not answered, by the ids that it sees. */
  const open = new Set<string>()
  let rounds = 0
  let cancelTimer = () => {}

  function sendRequests(
    requests: readonly InputRequest[],
    onAnswered: (results: string) => void,
  ): void {
    const results: Record<string, string> = {}
    cancelTimer = clock.after(LONGEST_WAIT_MS, () =>
      fail(`The client did not answer within ${LONGEST_WAIT_MS / 1000} s`),
    )
    const take = (id: string, { key, method }: InputRequest, { text }: Message) => {
      session.pendingInputs.delete(id)
      open.delete(id)
      const result = memberText(text, 'result')
      if (result === undefined) {
        const error = tryParseJson(objectText(text, 'error')) as JsonObject
        return fail(`The client refused ${method}: ${stringMember(error, 'message') ?? ''}`)
      }
      setMember(results, key, result)
      if (open.size > 0) return
      cancelTimer()
      onAnswered(putMembers('{}', results))
    }
    for (const request of requests) {
      const id = `${INPUT_REQUEST_PREFIX}${randomBytes(16).toString('base64url')}`
      open.add(id)
      session.pendingInputs.set(id, (answer) => take(id, request, answer))
      const method = JSON.stringify(request.method)
      const params = opensUrl(request)
        ? putMembers(request.params, { elicitationId: JSON.stringify(id) })
        : request.params
      call.event(`{"jsonrpc":"2.0","id":"${id}","method":${method},"params":${params}}`)
    }
  }

  /** Cancels the requests that the client did not answer yet. */
  function stop(): void {
    cancelTimer()
    for (const id of open) {
      session.pendingInputs.delete(id)
      const params = { requestId: id, reason: 'It is not needed any more' }
      call.event(notificationText('notifications/cancelled', params))
    }
    open.clear()
  }

  function fail(reason: string): void {
    stop()
    onFailed(reason)
  }

  return {
    stop,

    /** A request to the client is not answered yet. */
    get isAsking(): boolean {
      return open.size > 0
    },

    /** Takes a response whose `resultType` is `input_required`. */
    take(response: string): void {
      const result = objectText(response, 'result')
      const requests = memberTexts(objectText(result, 'inputRequests')).map(([key, request]) => ({
        key,
        method: String(tryParseJson(memberText(request, 'method') ?? '')),
        params: objectText(request, 'params'),
      }))
      // goes back to the server unchanged
      const state = memberText(result, 'requestState')
      const stateMember: Record<string, string> = state === undefined ? {} : { requestState: state }
      rounds += 1
      if (rounds > MAX_ROUNDS) {
        return onFailed(`The target needed its client more than ${MAX_ROUNDS} times`)
      }
      if (requests.length === 0) {
        clock.after(FIRST_PAUSE_MS * 2 ** (rounds - 1), () => onReady(stateMember))
        return
      }
      for (const request of requests) {
        const reason = whyNotAsk(request, session.client.capabilities)
        if (reason !== undefined) return onFailed(`The target needs its client, but ${reason}`)
      }
      sendRequests(requests, (inputResponses) => onReady({ inputResponses, ...stateMember }))
    },
  }
}
