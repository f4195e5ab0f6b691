import { isObject } from '../util/json.js'
import { PLACES, replaceAt } from './message-parts.js'
import { LEGACY_VERSIONS, olderVersion } from './versions.js'

/**
 * Gives a client its own version in a program's answer to `initialize`, when that is older than the
 * one that the program agreed upon with the first client.
 *
 * @param wire The answer, parsed.
 */
export function withVersion(text: string, wire: unknown, requested: unknown): string {
  const result = isObject(wire) ? wire['result'] : undefined
  const spoken = isObject(result) ? result['protocolVersion'] : undefined
  const known = LEGACY_VERSIONS.find((version) => version === requested)
  if (known === undefined || typeof spoken !== 'string') return text
  return replaceAt(text, PLACES.protocolVersion, JSON.stringify(olderVersion(known, spoken)))
}
