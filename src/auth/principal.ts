import { createHash } from 'node:crypto'
import { PROJECT_ID } from '../util/descope-url.js'
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
    owner = hashOf(identity)
    owners.set(principal, owner)
  }
  return owner
}

/** What limits count by: hashes, so that no claim makes one long, or says what another one says. */
export interface LimitKeys {
  /** The subject. */
  readonly caller: string
  /** The client; a token that names none counts as a client of its subject's own. */
  readonly client: string
  /** Both together. */
  readonly both: string
}

const NOBODY: LimitKeys = { caller: '', client: '', both: '' }

const keysOfPrincipals = new WeakMap<Principal, LimitKeys>()

/** Returns what a caller is counted by; without authentication all callers are one. */
export function limitKeys(principal: Principal | undefined): LimitKeys {
  if (principal === undefined) return NOBODY
  let keys = keysOfPrincipals.get(principal)
  if (keys === undefined) {
    const { issuer, subject, userId, clientId } = principal
    // a project's issuers name the same users and clients, each for another endpoint
    const realm = issuer.split('/').find((part) => PROJECT_ID.test(part)) ?? issuer
    const user = userId === undefined || userId === subject ? [] : [userId]
    const caller = hashOf(JSON.stringify(['caller', realm, subject, ...user]))
    const client =
      clientId === undefined ? caller : hashOf(JSON.stringify(['client', realm, clientId]))
    keys = { caller, client, both: `${caller}.${client}` }
    keysOfPrincipals.set(principal, keys)
  }
  return keys
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22)
}
