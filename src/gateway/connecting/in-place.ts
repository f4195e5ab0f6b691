import type { Caller } from '../../auth/credentials/credential.js'
import type { RequestId } from '../../mcp/jsonrpc.js'
import type { UpstreamHandler } from '../../upstream/upstream.js'
import type { JsonObject } from '../../util/json.js'

/** A request to a target whose caller may not have connected yet. */
export interface InPlaceRequest {
  readonly caller: Caller
  readonly method: 'POST' | 'GET' | 'DELETE'
  /** Names and values in turn. */
  readonly headers: readonly string[]
  readonly body?: string | Buffer
  readonly id?: RequestId | undefined
  /** What the client said of itself in `initialize`. */
  readonly client?: { readonly version: string; readonly initialize: JsonObject } | undefined
}

/** Answers in a target's place while a caller has not connected yet. */
export interface StandIn {
  /** The tool to connect. */
  readonly tool: { readonly name: string; readonly description: string }
  /**
   * Answers a request of such a caller.
   *
   * @param goOn Has the request sent to the target after all, once the caller is connected.
   */
  answer(request: InPlaceRequest, handler: UpstreamHandler, goOn: () => void): void
  /**
   * Answers a call of the tool to connect by a caller who is connected; false leaves it to the target.
   *
   * @param isOursAlone The target may not get it.
   */
  takes(request: InPlaceRequest, handler: UpstreamHandler, isOursAlone: boolean): boolean
  /** Takes out of a request what is meant for us. */
  bodyFor(body: string | Buffer | undefined): string | Buffer | undefined
  /** Returns what keeps the target's answer for later; `undefined` for requests that list nothing. */
  keeperFor(request: InPlaceRequest): ((answer: string) => void) | undefined
}

/** How the session ids begin that are given out in a target's place. */
const SESSION = 'mcp-descope-proxy-connect-'

/** Tells whether a session was opened in a target's place: the target itself knows nothing of it. */
export function isStandInSession(id: string | undefined): boolean {
  return id?.startsWith(SESSION) === true
}

/** Makes a session id of such a session. */
export function standInSession(random: string): string {
  return SESSION + random
}

const MARK = Symbol('answered in place of the target')

type Head = Readonly<Record<string, string | string[] | undefined>>

/** Marks the head of an answer that does not come from the target. No answer of a target has the mark. */
export function markedHead(head: Record<string, string>): Record<string, string> {
  const mark: Record<symbol, true> = { [MARK]: true }
  return { ...mark, ...head }
}

/** Tells whether an answer was given in the target's place, so that nothing is to be learned from it. */
export function isInPlace(head: Head): boolean {
  return MARK in head
}
