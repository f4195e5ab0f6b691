import { findMember, type Member, replaceParts, scanElements, skipSpace } from '../mcp/json-text.js'
import { tryParseJson } from '../util/json.js'
import type { Named } from './routing/names.js'

/** Stands in no target's name. */
const SEPARATOR = '.'

/**
 * Names the target in the id of an elicitation, so that none can tell a client that the elicitation of
 * another one is complete. Clients compare these ids and never give them back.
 *
 * @see [MCP 2025-11-25, completion notifications](https://modelcontextprotocol.io/specification/2025-11-25/client/elicitation#completion-notifications-for-url-mode-elicitation)
 */
export function exposeElicitation({ name }: Named, own: string | number): string {
  return name + SEPARATOR + own
}

/** Exposes the ids of the elicitations that an error asks for before a request is sent again. */
export function exposeElicitations(target: Named, text: string): string {
  if (!text.includes('"elicitations"') && !text.includes('\\u00')) return text
  if (tryParseJson(text) === undefined) return text
  const list = findMember(text, skipSpace(text, 0), 'error', 'data', 'elicitations')
  if (list === undefined) return text
  const parts = scanElements(text, list.start).flatMap(({ start }) => {
    const place = findMember(text, start, 'elicitationId')
    return place === undefined ? [] : writeExposed(target, text, place)
  })
  return replaceParts(text, parts)
}

function writeExposed(target: Named, text: string, { start, end }: Member) {
  const own = tryParseJson(text.slice(start, end))
  if (typeof own !== 'string' && typeof own !== 'number') return []
  return [{ start, end, text: JSON.stringify(exposeElicitation(target, own)) }]
}
