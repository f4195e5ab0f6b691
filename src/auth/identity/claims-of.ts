import { type JsonObject, ownMember, setMember } from '../../util/json.js'
import type { Principal } from '../principal.js'

/** Claims that are made of the principal, however the token writes them. */
const MADE: Readonly<Record<string, (principal: Principal) => unknown>> = {
  sub: ({ subject }) => subject,
  tenant: ({ tenant }) => tenant,
  roles: ({ roles }) => roles,
  permissions: ({ permissions }) => permissions,
  scope: ({ scopes }) => [...scopes].join(' ') || undefined,
  scopes: ({ scopes }) => [...scopes],
  client_id: ({ clientId }) => clientId,
}

/** Returns the claims of the token that the principal must keep for targets. */
export function claimsToKeep(configured: Iterable<readonly string[]>): readonly string[] {
  const names = new Set([...configured].flat())
  return [...names].filter((name) => !Object.hasOwn(MADE, name))
}

/** Puts together what a target is told about a caller; what the token lacks is left out. */
export function claimsOf(principal: Principal, names: readonly string[]): JsonObject {
  const told: JsonObject = {}
  for (const name of names) {
    const make = ownMember(MADE, name)
    const value = make === undefined ? ownMember(principal.claims ?? {}, name) : make(principal)
    if (value !== undefined) setMember(told, name, value)
  }
  return told
}
