import { ownId, requestText } from '../../mcp/jsonrpc.js'
import { offersStateless } from '../../mcp/meta.js'
import { isSessionBasedVersion, STATELESS_VERSION } from '../../mcp/versions.js'
import { mayRefuseProtocol } from '../../util/failure.js'
import { type JsonObject, objectMember, stringsMember } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import { readAnswer } from '../answer-reader.js'
import type { PendingCall } from '../shared/pending-call.js'
import type { Upstream } from '../upstream.js'
import { UpstreamError } from '../upstream-error.js'
import { ownRequest, sessionBasedHeaders, statelessHeadersOf } from './stateless-wire.js'
import { newSession, type TranslatedSession, UNKNOWN_CLIENT } from './translated-session.js'

/** The answer to `server/discover`. */
export type ServerDiscovery =
  | { readonly ok: true; readonly result: JsonObject }
  | {
      readonly ok: false
      /** The target answered, and does not speak the stateless protocol. */
      readonly refusesStateless: boolean
      /** The target refused the credential. */
      readonly wantsCredential: boolean
      /** Answers a client's call with what the target answered instead. */
      pass(call: PendingCall): void
    }

const ASK_MS = 30_000

const PASSED_HEADERS = ['content-type', 'www-authenticate', 'retry-after']

/** Sends requests of our own to a target, with the credential of a client's request. */
export function createProbe({ clock, inner }: { clock: Pick<Clock, 'after'>; inner: Upstream }) {
  const send = (
    headers: readonly string[],
    method: string,
    params: JsonObject,
    session: TranslatedSession,
  ) => {
    const id = ownId()
    const request = {
      method: 'POST',
      headers: statelessHeadersOf(headers, { method, params }),
      body: ownRequest(id, method, params, session),
    } as const
    return readAnswer({ clock, upstream: inner }, request, id, ASK_MS)
  }

  return {
    async discover(
      headers: readonly string[],
      session: TranslatedSession,
    ): Promise<ServerDiscovery> {
      const first = await send(headers, 'server/discover', {}, session)
      // a server that refuses the version and lists it as supported gets the request once more
      const again = first.kind === 'answer' && namesStateless(first.answer.message?.['error'])
      const read = again ? await send(headers, 'server/discover', {}, session) : first
      if (read.kind === 'failed') {
        const error = new UpstreamError(read.failure.cause, read.failure.reason)
        return {
          ...{ ok: false, refusesStateless: false, wantsCredential: false },
          pass: (call) => call.fail(error),
        }
      }
      const { status, header, text, message } = read.answer
      const result = objectMember(message, 'result')
      if (result !== undefined && offersStateless(result)) return { ok: true, result }
      const head = Object.fromEntries(PASSED_HEADERS.map((name) => [name, header(name)]))
      return {
        ok: false,
        refusesStateless: status < 400 || mayRefuseProtocol(status),
        wantsCredential: status === 401 || status === 403,
        pass: (call) => call.respond(status, head, Buffer.from(text)),
      }
    },

    /** Tells whether the target opens a session by `initialize`; the session is ended again. */
    async takesInitialize(headers: readonly string[]): Promise<boolean> {
      const id = 'mcp-descope-proxy/initialize'
      const { version, capabilities, info } = UNKNOWN_CLIENT
      const params = { protocolVersion: version, capabilities, clientInfo: info }
      const body = requestText(id, 'initialize', params)
      const request = { method: 'POST', headers: sessionBasedHeaders(headers), body } as const
      const read = await readAnswer({ clock, upstream: inner }, request, id, ASK_MS)
      if (read.kind === 'failed') return false
      const { message, header } = read.answer
      const session = header('mcp-session-id')
      if (session !== undefined) {
        const ending = [...request.headers, 'mcp-session-id', session]
        const end = { method: 'DELETE', headers: ending } as const
        void readAnswer({ clock, upstream: inner }, end, undefined, ASK_MS)
      }
      const result = objectMember(message, 'result')
      return isSessionBasedVersion(String(result?.['protocolVersion']))
    },

    /** Reads one page of the tools; `undefined` when there is none to be had. */
    async tools(
      headers: readonly string[],
      cursor: string | undefined,
    ): Promise<JsonObject | undefined> {
      const params = cursor === undefined ? {} : { cursor }
      const read = await send(headers, 'tools/list', params, newSession(UNKNOWN_CLIENT))
      return read.kind === 'answer' ? objectMember(read.answer.message, 'result') : undefined
    },
  }
}

/** Tells whether an error lists 2026-07-28 among the versions that a server speaks. */
function namesStateless(error: unknown): boolean {
  const data = objectMember(error, 'data') ?? {}
  return stringsMember(data, 'supported').includes(STATELESS_VERSION)
}
