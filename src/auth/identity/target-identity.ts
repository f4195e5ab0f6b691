import { ProxyError } from '../../util/errors.js'
import { type JsonObject, ownMember, setMember } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'
import type { CredentialHeaders, TargetCredential } from '../credentials/credential.js'
import type { Principal } from '../principal.js'
import type { IdentitySigner } from './signer.js'

/** What a target is told about its callers, as configured. */
export interface IdentitySettings {
  readonly method: 'claims' | 'jwt'
  /** Names of claims; see `claimsOf`. */
  readonly claims: readonly string[]
  /** By default `X-User-Claims` or `X-User-JWT`; in `Authorization` a JWT is a bearer token. */
  readonly header: string | undefined
}

export interface IdentityDeps {
  readonly clock: Pick<Clock, 'now'>
  /** Name of the target, for people. */
  readonly target: string
  /** Present when the method is `jwt`. */
  readonly signer: IdentitySigner | undefined
  /** Whom the JWT is for. */
  readonly audience: string
  /** In place of a header: the field that carries the identity to a program, as JSON text. */
  readonly field?: string
}

const DEFAULT_HEADERS = { claims: 'x-user-claims', jwt: 'x-user-jwt' } as const

const BEARER_HEADER = 'authorization'

/** Servers refuse requests with long headers. */
const MAX_BYTES = 4 * 1024

/** How long a JWT is used, milliseconds. */
const REUSE_MS = 60_000

/** Returns the name of the header that tells who calls, in lower case. */
export function identityHeader({ header, method }: Omit<IdentitySettings, 'claims'>): string {
  return (header ?? DEFAULT_HEADERS[method]).toLowerCase()
}

interface Told {
  readonly headers: CredentialHeaders | Promise<CredentialHeaders>
  /** Milliseconds since the epoch. */
  readonly until: number
}

interface Joined {
  readonly base: CredentialHeaders
  readonly own: CredentialHeaders
  readonly both: CredentialHeaders
}

/**
 * Adds to a credential what the target is told about the caller. It is made once per caller, a JWT once
 * a minute, and kept for that verified token alone. Without a caller nothing is told.
 */
export function withIdentity(
  credential: TargetCredential,
  settings: IdentitySettings,
  deps: IdentityDeps,
): TargetCredential {
  const { clock, field, signer, audience } = deps
  const name = field ?? identityHeader(settings)
  const scheme = name === BEARER_HEADER ? 'Bearer ' : ''
  /** By principal: each stands for one verified token, and nobody else gets at its entry. */
  const told = new WeakMap<Principal, Told>()
  const joined = new WeakMap<Principal, Joined>()

  const tell = (principal: Principal): Told => {
    const json = writeClaims(principal, settings, deps)
    if (signer === undefined) return { headers: { [name]: json }, until: Number.POSITIVE_INFINITY }
    const headers = signer
      .sign(json, { audience, expiresAt: principal.expiresAt })
      .then((jwt) => ({ [name]: field === undefined ? scheme + jwt : JSON.stringify(jwt) }))
    headers.then(
      (ready) => told.set(principal, { ...entry, headers: ready }),
      () => told.delete(principal),
    )
    const entry: Told = { headers, until: clock.now() + REUSE_MS }
    return entry
  }

  const identityOf = (principal: Principal) => {
    let entry = told.get(principal)
    if (entry === undefined || clock.now() >= entry.until) {
      entry = tell(principal)
      told.set(principal, entry)
    }
    return entry.headers
  }

  /** The same object for the same parts: who compares it sees whether anything changed. */
  const join = (principal: Principal, base: CredentialHeaders, own: CredentialHeaders) => {
    const last = joined.get(principal)
    if (last?.base === base && last.own === own) return last.both
    const both = { ...base, ...own }
    joined.set(principal, { base, own, both })
    return both
  }

  return {
    ...(credential.perCaller !== undefined && { perCaller: credential.perCaller }),
    ...(credential.connect !== undefined && { connect: credential.connect }),
    ...(credential.validity !== undefined && { validity: credential.validity }),
    ...(credential.isNone !== undefined && { isNone: name !== BEARER_HEADER }),
    tellsCaller: true,
    headers(caller) {
      const base = credential.headers(caller)
      const { principal } = caller
      if (principal === undefined) return base
      const own = identityOf(principal)
      if (!(base instanceof Promise) && !(own instanceof Promise)) return join(principal, base, own)
      return Promise.all([base, own]).then(([first, second]) => join(principal, first, second))
    },
    refused: (caller, refusal) => credential.refused(caller, refusal),
  }
}

/** Everything beyond printable ASCII is written as `\uXXXX`, so that it can stand in a header. */
function writeClaims(
  principal: Principal,
  { claims }: IdentitySettings,
  { target }: Pick<IdentityDeps, 'target'>,
): string {
  const json = JSON.stringify(claimsOf(principal, claims)).replace(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  if (json.length <= MAX_BYTES) return json
  throw new ProxyError(
    'CREDENTIAL_REFUSED',
    `The claims that target "${target}" is told take ${json.length} bytes, and at most ${MAX_BYTES} are sent: name fewer in targets.${target}.identity.claims`,
  )
}

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
function claimsOf(principal: Principal, names: readonly string[]): JsonObject {
  const told: JsonObject = {}
  for (const name of names) {
    const make = ownMember(MADE, name)
    const value = make === undefined ? ownMember(principal.claims ?? {}, name) : make(principal)
    if (value !== undefined) setMember(told, name, value)
  }
  return told
}
