import { createHash } from 'node:crypto'
import type { Principal } from './principal.js'

const owners = new WeakMap<Principal, string>()

/** Stands for issuer, subject and tenant of a caller without naming them; '' without a caller. */
export function ownerOf(principal: Principal | undefined): string {
  if (principal === undefined) return ''
  let owner = owners.get(principal)
  if (owner === undefined) {
    const identity = JSON.stringify([principal.issuer, principal.subject, principal.tenant])
    owner = createHash('sha256').update(identity).digest('base64url').slice(0, 22)
    owners.set(principal, owner)
  }
  return owner
}
