import type { Dispatcher } from 'undici'
import { mediaTypeOf, STREAM_TYPE } from '../mcp/media-type.js'

export const CONNECT_TIMEOUT_MS = 10_000

/** Below the 5 s after which Node's servers drop idle connections, so that we are never late. */
export const KEEP_ALIVE_MS = 4_000

/** What undici says of a connection that it closed because its request was aborted. */
export const ABORTED = 'aborted'

export type UpstreamHandler = Dispatcher.DispatchHandler

export type UpstreamController = Dispatcher.DispatchController

export interface UpstreamRequest {
  method: 'POST' | 'GET' | 'DELETE'
  /** Path and query, where they are others than those of the connections' URL. */
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
  /** Counts what is held open for clients, where that is worth knowing. */
  readonly held?: { kind: 'child' | 'stream'; count(): number } | undefined
}

/** Makes pairs of names and values that stand in turn. */
export function headerPairs(headers: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < headers.length; i += 2) {
    pairs.push([headers[i] as string, headers[i + 1] as string])
  }
  return pairs
}

/** Returns the value of a header, whose name is in lower case as we write it. */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]
  return undefined
}

/**
 * The member among a request's headers that says for whom it is, to upstreams in this process that
 * keep callers apart. No HTTP header can have this name, so that no client can send one.
 */
export const CALLER_ID_FIELD = ':owner'

type Parts = Required<UpstreamHandler>

/** The headers of an answer. */
export type ResponseHead = Parameters<Parts['onResponseStart']>[2]

/** Passes everything on: the base of handlers that only look at something. */
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

/** How the session ids begin that the translation gives out: they name the era of their target. */
export const TRANSLATED_SESSION = 'mcp-2026-07-28.'

/** How the session ids begin that stand for a stream of the older transport in this process. */
export const SSE_SESSION = 'mcp-descope-proxy-sse-'

/** For the end of an answer that nobody reads, so that its connection can be used again. */
export const DRAIN_MS = 5_000

const MAX_BYTES = 64 * 1024

/** A body that comes drop by drop is no end. */
const MAX_PIECES = 32

/** The rest of an answer that nobody reads: it may end soon, or it is given up. */
export class Drain {
  readonly #controller: UpstreamController
  #bytes = 0
  #pieces = 0

  /** @param type The answer's content type. */
  constructor(controller: UpstreamController, type: string | string[] | undefined) {
    this.#controller = controller
    // a stream is there to stay open
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
