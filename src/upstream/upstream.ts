import { mediaTypeOf, STREAM_TYPE } from '../mcp/headers.js'

/** Below the 5 s after which Node's servers drop idle connections: we must close them first. */
export const KEEP_ALIVE_MS = 4_000

/** The header fields of an answer by their names in lower case; those that came repeatedly as a list. */
export type ResponseHead = Readonly<Record<string, string | string[] | undefined>>

/** What whoever reads an answer can do to it. */
export interface UpstreamController {
  readonly aborted: boolean
  readonly paused: boolean
  readonly reason: Error | null
  /** Gives the request up. Its connection is dropped, and the handler hears of it at most as an error. */
  abort(reason: Error): void
  /** Has the target wait: nothing is told until `resume`. */
  pause(): void
  resume(): void
}

/** Gets an answer piece by piece; `onResponseEnd` or `onResponseError` is last. */
export interface UpstreamHandler {
  onRequestStart?(controller: UpstreamController, context: unknown): void
  /** @param text The server's words for the status. */
  onResponseStart?(
    controller: UpstreamController,
    status: number,
    headers: ResponseHead,
    text?: string,
  ): void
  onResponseData?(controller: UpstreamController, chunk: Buffer): void
  onResponseEnd?(controller: UpstreamController, trailers: unknown): void
  onResponseError?(controller: UpstreamController, error: Error): void
}

export interface UpstreamRequest {
  method: 'POST' | 'GET' | 'DELETE'
  /** Path and query, where they differ from those of the target's URL. */
  path?: string
  /** Names and values in turn. */
  headers: string[]
  body?: string | Buffer | undefined
  /** The answer is a stream that stays open, whatever the method. */
  isStream?: boolean | undefined
  /** Milliseconds until the response head; 0 waits for ever. */
  headersTimeout: number
  /** Milliseconds between two pieces of the response body; 0 waits for ever. */
  bodyTimeout: number
}

/** Connections to one target's URL. */
export interface Upstream {
  /** Sends a request; never throws and never follows a redirect. */
  send(request: UpstreamRequest, handler: UpstreamHandler): void
  /** Drops all connections at once. */
  close(): Promise<void>
  /** Counts the processes or streams that are held open for clients. */
  readonly held?: { kind: 'child' | 'stream'; count(): number } | undefined
}

/** Makes pairs of a list of names and values in turn. */
export function headerPairs(headers: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < headers.length; i += 2) {
    pairs.push([headers[i] as string, headers[i + 1] as string])
  }
  return pairs
}

/** Returns the value of a header. Its name must be in lower case, as we write all names. */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]
  return undefined
}

/**
 * The name under which a request carries the caller id to upstreams in this process that keep callers
 * apart. No HTTP header can have this name, so that no client can send one.
 */
export const CALLER_ID_FIELD = ':owner'

/** The name under which a request carries, as JSON text, what a program is told about its caller. */
export const IDENTITY_FIELD = ':identity'

type Parts = Required<UpstreamHandler>

/** Passes every event on: the base of handlers that look at some, or change them. */
export class PassingHandler implements UpstreamHandler {
  readonly #handler: UpstreamHandler

  constructor(handler: UpstreamHandler) {
    this.#handler = handler
  }

  onRequestStart(...args: Parameters<Parts['onRequestStart']>): void {
    this.#handler.onRequestStart?.(...args)
  }

  onResponseStart(...args: Parameters<Parts['onResponseStart']>): void {
    this.#handler.onResponseStart?.(...args)
  }

  onResponseData(...args: Parameters<Parts['onResponseData']>): void {
    this.#handler.onResponseData?.(...args)
  }

  onResponseEnd(...args: Parameters<Parts['onResponseEnd']>): void {
    this.#handler.onResponseEnd?.(...args)
  }

  onResponseError(...args: Parameters<Parts['onResponseError']>): void {
    this.#handler.onResponseError?.(...args)
  }
}

/** How the session ids begin that the translation issues: they name the protocol of the target. */
export const TRANSLATED_SESSION = 'mcp-2026-07-28.'

/** How the session ids begin that stand for a stream of HTTP+SSE in this process. */
export const SSE_SESSION = 'mcp-descope-proxy-sse-'

/** The most bytes that are read of the body of a refusal: a larger one holds no JSON-RPC error. */
export const MAX_REFUSAL_BYTES = 64 * 1024

/** How long the rest of an ignored answer may take, so that its connection can be used again. */
export const DRAIN_MS = 5_000

const MAX_BYTES = 64 * 1024

/** A body that comes in more pieces may never end. */
const MAX_PIECES = 32

/** Ignores the rest of an answer, and closes its connection when the rest is long. */
export class Drain {
  readonly #controller: UpstreamController
  #bytes = 0
  #pieces = 0

  /** @param type The answer's content type. */
  constructor(controller: UpstreamController, type: string | string[] | undefined) {
    this.#controller = controller
    // a stream may stay open for ever
    if (mediaTypeOf(type) === STREAM_TYPE) this.#giveUp()
  }

  take(chunk: Buffer): void {
    this.#bytes += chunk.length
    this.#pieces += 1
    if (this.#bytes > MAX_BYTES || this.#pieces > MAX_PIECES) this.#giveUp()
  }

  #giveUp(): void {
    this.#controller.abort(new Error('nobody reads this answer'))
  }
}
