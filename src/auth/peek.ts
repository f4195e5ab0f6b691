import { bareObject, isObject, type JsonObject, stringMember, tryParseJson } from '../util/json.js'

/**
 * Reads the claims of a token for display. Does not verify anything: nothing may be decided by
 * what it returns. A token that is no JWT has no claims.
 */
export function peekClaims(token: string): JsonObject {
  const payload = token.split('.')[1]
  const json = payload && tryParseJson(Buffer.from(payload, 'base64url').toString('utf8'))
  return isObject(json) ? bareObject(json) : {}
}

/**
 * Names the account of a token for people: its e-mail address, its name, else its subject,
 * an id that says nothing to anybody but the server.
 */
export function accountOf(token: string): string | undefined {
  const claims = peekClaims(token)
  const names = ['email', 'name', 'preferred_username', 'sub'] as const
  return names.map((name) => stringMember(claims, name)).find((found) => found)
}
