import { JSON_TYPE } from '../../mcp/headers.js'
import { memberText, objectText, putMembers, withoutMember } from '../../mcp/json-text.js'
import { META, metaOf } from '../../mcp/meta.js'
import type { PendingCall } from '../../upstream/shared/pending-call.js'
import { headerOf } from '../../upstream/upstream.js'
import { isObject, type JsonObject, objectMember, tryParseJson } from '../../util/json.js'
import { type InPlaceRequest, markedHead } from './in-place.js'

/** The name of our input request, which no target's may have. */
export const INPUT_KEY = 'mcp-descope-proxy/connect'

/** The first version in which clients can open a URL for a server. */
const URL_MODE_VERSION = '2025-11-25'

/** One request, read. */
export interface ConnectTurn {
  readonly request: InPlaceRequest
  readonly call: PendingCall
  readonly message: JsonObject
  readonly params: JsonObject
  readonly isStateless: boolean
}

/** Reads a request. */
export function readTurn(request: InPlaceRequest, call: PendingCall): ConnectTurn {
  const value = tryParseJson(request.body?.toString() ?? '')
  const message = isObject(value) ? value : {}
  const params = objectMember(message, 'params') ?? {}
  const isStateless = headerOf(request.headers, 'mcp-method') !== undefined
  return { request, call, message, params, isStateless }
}

/** Answers with a message that does not come from the target. */
export function answerInPlace(
  call: PendingCall,
  text: string,
  headers: Record<string, string> = {},
): void {
  call.respond(200, markedHead({ 'content-type': JSON_TYPE, ...headers }), text)
}

/** Tells whether the client can open a URL for us (URL mode of elicitation). */
export function opensUrls({ request, params, isStateless }: ConnectTurn): boolean {
  if (isStateless) return hasUrlMode(metaOf(params)[META.clientCapabilities])
  const { client } = request
  if (client === undefined || client.version < URL_MODE_VERSION) return false
  return hasUrlMode(client.initialize['capabilities'])
}

function hasUrlMode(capabilities: unknown): boolean {
  return objectMember(objectMember(capabilities, 'elicitation'), 'url') !== undefined
}

/** Returns the client's answer to our input request, if there is one. */
export function ownInput(params: JsonObject): JsonObject | undefined {
  const responses = objectMember(params, 'inputResponses')
  return responses && objectMember(responses, INPUT_KEY)
}

/** Takes the answer to our input request out of a request. */
export function withoutOwnInput(body: string): string {
  const params = objectText(body, 'params')
  const responses = memberText(params, 'inputResponses')
  if (responses === undefined || !responses.startsWith('{')) return body
  const others = withoutMember(responses, INPUT_KEY)
  const isLast = Object.keys((tryParseJson(others) as JsonObject | undefined) ?? {}).length === 0
  const rest = isLast
    ? withoutMember(params, 'inputResponses')
    : putMembers(params, { inputResponses: others })
  return putMembers(body, { params: rest })
}
