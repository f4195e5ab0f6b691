import { mcpNameOf, mirrorHeaders } from '../../mcp/headers.js'
import { objectText, putMembers } from '../../mcp/json-text.js'
import { type RequestId, requestText } from '../../mcp/jsonrpc.js'
import type { Message } from '../../mcp/message.js'
import { envelopeOf, META } from '../../mcp/meta.js'
import { STATELESS_VERSION } from '../../mcp/versions.js'
import type { JsonObject } from '../../util/json.js'
import { headerPairs } from '../upstream.js'
import type { TranslatedSession } from './translated-session.js'

const REPLACED = /^(accept|content-type|mcp-.*|last-event-id)$/

const ACCEPT = ['accept', 'application/json, text/event-stream']

/** What a retry adds to a request, as JSON texts. */
export interface RetryParts {
  readonly id: RequestId
  readonly params: Readonly<Record<string, string>>
}

/** Makes the headers of a request of 2026-07-28 from those of an older one. */
export function statelessHeadersOf(
  headers: readonly string[],
  message: Pick<Message, 'method' | 'params'>,
): string[] {
  return [
    ...sessionBasedHeaders(headers),
    ...['mcp-protocol-version', STATELESS_VERSION],
    ...mirrorHeaders(message.method, mcpNameOf(message)),
  ]
}

/** Makes the headers of an `initialize` of our own from those of a client's request. */
export function sessionBasedHeaders(headers: readonly string[]): string[] {
  const kept = headerPairs(headers).filter(([name]) => !REPLACED.test(name.toLowerCase()))
  return [...kept.flat(), ...ACCEPT, 'content-type', 'application/json']
}

/** Makes the text of a request of 2026-07-28 from that of an older one. */
export function statelessText(
  text: string,
  session: TranslatedSession,
  retry?: RetryParts,
): string {
  const params = objectText(text, 'params')
  const _meta = putMembers(objectText(params, '_meta'), envelope(session))
  return putMembers(text, {
    ...(retry !== undefined && { id: JSON.stringify(retry.id) }),
    params: putMembers(params, { ...retry?.params, _meta }),
  })
}

/** Makes a request of our own, as this client sends it. */
export function ownRequest(
  id: RequestId,
  method: string,
  params: JsonObject,
  session: TranslatedSession,
): string {
  return statelessText(requestText(id, method, params), session)
}

function envelope({ client, logLevel }: TranslatedSession): Record<string, string> {
  const members: JsonObject = {
    ...envelopeOf({ clientInfo: client.info, clientCapabilities: client.capabilities }),
    ...(logLevel !== undefined && { [META.logLevel]: logLevel }),
  }
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, JSON.stringify(value)]),
  )
}
