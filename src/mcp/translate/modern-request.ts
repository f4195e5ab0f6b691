import { headerPairs } from '../../http/header-pairs.js'
import type { JsonObject } from '../../util/json.js'
import { mirrorHeaders, namedBy } from '../headers.js'
import type { RequestId } from '../jsonrpc.js'
import { objectText, putMembers } from '../member-text.js'
import type { Message } from '../message.js'
import { META } from '../meta.js'
import { MODERN_VERSION } from '../versions.js'
import type { LegacySession } from './session.js'

const REPLACED = /^(accept|content-type|mcp-.*|last-event-id)$/
const ACCEPT = ['accept', 'application/json, text/event-stream']

/** What a retry adds to a request, as JSON texts. */
export interface RetryParts {
  readonly id: RequestId
  readonly params: Readonly<Record<string, string>>
}

/** Makes the headers of a request of 2026-07-28 from those of an older one. */
export function modernHeaders(
  headers: readonly string[],
  message: Pick<Message, 'method' | 'params'>,
): string[] {
  return [
    ...headerPairs(headers).filter(([name]) => !REPLACED.test(name.toLowerCase())),
    ACCEPT,
    ['content-type', 'application/json'],
    ['mcp-protocol-version', MODERN_VERSION],
    mirrorHeaders(message.method, namedBy(message)),
  ].flat()
}

/** Makes the headers of an `initialize` of our own from those of a client's request. */
export function olderHeaders(headers: readonly string[]): string[] {
  return [
    ...headerPairs(headers).filter(([name]) => !REPLACED.test(name.toLowerCase())),
    ACCEPT,
    ['content-type', 'application/json'],
  ].flat()
}

/** Makes the text of a request of 2026-07-28 from that of an older one. */
export function modernText(text: string, session: LegacySession, retry?: RetryParts): string {
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
  session: LegacySession,
): string {
  return modernText(JSON.stringify({ jsonrpc: '2.0', id, method, params }), session)
}

/** @see [MCP 2026-07-28, `_meta`](https://modelcontextprotocol.io/specification/2026-07-28/basic/index#meta) */
function envelope({ client, logLevel }: LegacySession): Record<string, string> {
  const members: JsonObject = {
    [META.version]: MODERN_VERSION,
    [META.clientInfo]: client.info,
    [META.clientCapabilities]: client.capabilities,
    ...(logLevel !== undefined && { [META.logLevel]: logLevel }),
  }
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [name, JSON.stringify(value)]),
  )
}
