import { createHash } from 'node:crypto'
import type { JsonObject } from '../util/json.js'

/** Who sent a request: what is left of an access token once it was verified. */
export interface Principal {
  readonly issuer: string
  /** `sub`: the user, or the client itself with client credentials. */
  readonly subject: string
  /** `dsub`: Descope's id of the user, where a template put something else into `sub`. */
  readonly userId?: string | undefined
  /** `azp`, else `client_id`. */
  readonly clientId: string | undefined
  readonly scopes: ReadonlySet<string>
  /** `dct`: Descope's current tenant. */
  readonly tenant: string | undefined
  readonly roles: readonly string[]
  readonly permissions: readonly string[]
  /** `su`: Descope's mark of a token whose sign-in was stepped up. */
  readonly steppedUp?: boolean | undefined
  /** `cnf.jkt`: of the key whose holder alone may use the token (RFC 9449 §6.1). */
  readonly keyThumbprint?: string | undefined
  /** `name` or `email`, where the token has one; for logs only. */
  readonly name?: string | undefined
  /** Further claims of the token that targets are told, as the configuration names them. */
  readonly claims?: JsonObject | undefined
  /** `exp`, seconds since the epoch. */
  readonly expiresAt: number
}

const owners = new WeakMap<Principal, string>()

/**
 * Stands for issuer, subject, tenant and user of a caller without naming them; '' without a caller. Where
 * a template puts into `sub` what users share, `dsub` alone tells them apart.
 */
export function callerId(principal: Principal | undefined): string {
  if (principal === undefined) return ''
  let owner = owners.get(principal)
  if (owner === undefined) {
    const { issuer, subject, tenant, userId } = principal
    const user = userId === undefined || userId === subject ? [] : [userId]
    const identity = JSON.stringify([issuer, subject, tenant, ...user])
    owner = createHash('sha256').update(identity).digest('base64url').slice(0, 22)
    owners.set(principal, owner)
  }
  return owner
}
