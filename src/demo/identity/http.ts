import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { isDeeper, isObject, type JsonObject, tryParseJson } from '../../util/json.js'
import { refusal } from './refusals.js'
import type { State } from './state.js'

/** Largest request body, bytes. */
const BODY_LIMIT = 65_536

/** Deeper values could not be serialized as JSON again. */
const MAX_DEPTH = 64

/** A request, read to its end. */
export interface IdentityCall {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface IdentityReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** An object is sent as JSON. */
  readonly body?: string | object
}

export type Handler = (state: State, call: IdentityCall) => IdentityReply | Promise<IdentityReply>

/** Makes a JSON answer that must not be cached. */
export function json(status: number, body: object): IdentityReply {
  return { status, headers: { 'cache-control': 'no-store' }, body }
}

/**
 * Reads a request body as text.
 *
 * @throws {EmulatorRefusal} `too_large`
 */
export async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= BODY_LIMIT) chunks.push(chunk)
  }
  if (size > BODY_LIMIT) throw refusal('too_large')
  return Buffer.concat(chunks).toString('utf8')
}

/** Returns the media type in lower case, without its parameters. */
export function mediaType(headers: IncomingHttpHeaders): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

/** Parses JSON that is not nested too deep; `undefined` when it is not JSON. */
export function parseFlatJson(text: string): unknown {
  return isDeeper(text, MAX_DEPTH) ? undefined : tryParseJson(text)
}

/**
 * Reads the body as a JSON object.
 *
 * @throws {EmulatorRefusal} `invalid_request`
 */
export function jsonBody(call: IdentityCall): JsonObject {
  const body = mediaType(call.headers) === 'application/json' ? parseFlatJson(call.body) : undefined
  if (!isObject(body)) throw refusal('invalid_request', 'The body must be a JSON object')
  return body
}

/**
 * Reads parameters from a form or from a JSON object, whose lists become repeated parameters.
 *
 * @throws {EmulatorRefusal} `invalid_request`
 * @see [RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)
 */
export function bodyParams(call: IdentityCall): URLSearchParams {
  const type = mediaType(call.headers)
  if (type === 'application/x-www-form-urlencoded') return checkedParams(call.body)
  if (type !== 'application/json') {
    throw refusal('invalid_request', 'The body must be a form or JSON')
  }
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(jsonBody(call))) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null) params.append(name, String(item))
    }
  }
  return checkedParams(params)
}

/**
 * Refuses a parameter that appears twice, except where RFC 8707 and RFC 8693 allow it.
 *
 * @throws {EmulatorRefusal} `invalid_request`
 */
export function checkedParams(source: string | URLSearchParams): URLSearchParams {
  const params = new URLSearchParams(source)
  for (const name of new Set(params.keys())) {
    if (name !== 'resource' && name !== 'audience' && params.getAll(name).length > 1) {
      throw refusal('invalid_request', `Parameter ${JSON.stringify(name)} appears twice`)
    }
  }
  return params
}

/** Returns the value of `Authorization` for one scheme, or `undefined`. */
export function authorization(
  call: IdentityCall,
  scheme: 'basic' | 'bearer' | 'dpop',
): string | undefined {
  const [name, value] = (call.headers.authorization ?? '').split(/ +/, 2)
  return name?.toLowerCase() === scheme && value ? value : undefined
}
