import {
  bareObject,
  isObject,
  type JsonObject,
  stringMember,
  tryParseJson,
} from '../../util/json.js'

/**
 * Reads the claims of a token for display. Does not verify anything: nothing may be decided by
 * what it returns. A token that is no JWT has no claims.
 */
export function readUnverifiedClaims(token: string): JsonObject {
  const payload = token.split('.')[1]
  const json = payload && tryParseJson(Buffer.from(payload, 'base64url').toString('utf8'))
  return isObject(json) ? bareObject(json) : {}
}

/** What people know each other by, of the claims about one of them. */
export function nameOf(claims: JsonObject): string | undefined {
  const names = ['email', 'name', 'preferred_username'] as const
  return names.map((name) => stringMember(claims, name)).find((found) => found)
}

/**
 * Names the account of a token: as people know it, else by its subject, an id that says nothing to
 * anybody but the server.
 */
export function accountOf(token: string): string | undefined {
  const claims = readUnverifiedClaims(token)
  return nameOf(claims) ?? (stringMember(claims, 'sub') || undefined)
}
