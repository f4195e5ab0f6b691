import { type CompactJWSHeaderParameters, CompactSign, jwtVerify } from 'jose'
import { type JsonObject, stringMember } from '../../util/json.js'
import { issuerUrl } from './documents.js'
import { createSigningKey, type SigningKey } from './keys.js'
import type { EmulatorUser } from './options.js'
import { type EmulatorGrant, newClientId, randomId, type Surface } from './records.js'
import { refusal } from './refusals.js'
import { nowSeconds, remember, type State } from './state.js'

/** Tenant in the `tenant` form of `iss` when the user has none. */
const DEMO_TENANT = 'T2demoTenantOfTheEmulator000'

export interface Subject {
  readonly clientId: string
  readonly surface?: Surface
  readonly scopes: readonly string[]
  readonly resources: readonly string[]
  /** The first user unless given. */
  readonly userId?: string | undefined
  readonly tenant?: string | undefined
  /** The client itself (client credentials), without any of the user's claims. */
  readonly machine?: boolean
  readonly steppedUp?: boolean | undefined
  /** Thumbprint of the key that the token is bound to. */
  readonly jkt?: string | undefined
}

export type Claims = Record<string, unknown>

/**
 * Returns the claims of an access token for the options in force.
 *
 * @see [RFC 9449 §6.1](https://www.rfc-editor.org/rfc/rfc9449#section-6.1) for `cnf`
 */
export function accessClaims(state: State, subject: Subject): Claims {
  const { ttl } = state.options
  const user = userOf(state, subject.userId)
  const now = nowSeconds(state)
  const tenant = subject.tenant ?? chosenTenant(state, user)
  const refreshTtl = refreshLife(state, subject.surface)
  const ofUser: Claims = {
    ...user.claims,
    amr: ['email'],
    dct: tenant,
    dsub: user.subject === undefined ? undefined : user.id,
    ...(state.options.forceAddAllAuthorizationInfo && {
      tenants: orUndefined(user.tenants),
      roles: orUndefined(user.roles),
      permissions: orUndefined(user.permissions),
    }),
    su: state.options.stepUp === true || subject.steppedUp || undefined,
    rexp: refreshTtl > 0 ? new Date((now + refreshTtl) * 1000).toISOString() : undefined,
  }
  return {
    ...(subject.machine ? {} : ofUser),
    iss: accessIssuer(state, tenant),
    aud: audience(state, subject),
    sub: subject.machine ? subject.clientId : (user.subject ?? user.id),
    azp: subject.clientId,
    scope: subject.scopes.join(' '),
    cnf: subject.jkt === undefined ? undefined : { jkt: subject.jkt },
    drn: 'DS',
    iat: now,
    exp: now + ttl,
    jti: randomId(),
  }
}

/** Returns the life of a refresh token, seconds. */
export function refreshLife({ options }: State, surface: Surface = 'agentic'): number {
  // 0 turns refresh tokens off everywhere
  if (options.refreshTtl === 0 || surface === 'agentic') return options.refreshTtl
  return options.projectRefreshTtl
}

/** Returns a user by id or email; the first one when there is none. */
export function userOf({ options }: State, idOrEmail: unknown): EmulatorUser {
  const { user, users } = options
  return users.find(({ id, email }) => idOrEmail === id || idOrEmail === email) ?? user
}

function chosenTenant({ options }: State, { tenant, tenants }: EmulatorUser): string | undefined {
  const own = Object.keys(tenants)
  return tenant ?? (options.autoTenantClaim && own.length === 1 ? own[0] : undefined)
}

/**
 * Returns the claims of an ID token. Its issuer is always that of the discovery document in use.
 *
 * `azp` is a choice of the emulator: with two audiences, clients demand it (OpenID Connect Core
 * §3.1.3.7).
 */
export function idClaims(state: State, grant: EmulatorGrant, nonce?: string): Claims {
  const { ttl } = state.options
  const { surface, clientId } = grant
  const user = userOf(state, grant.userId)
  const now = nowSeconds(state)
  return {
    iss: issuerUrl(state, surface),
    aud: [clientId, state.projectId],
    azp: clientId,
    sub: user.subject ?? user.id,
    name: user.name,
    email: user.email,
    email_verified: true,
    nonce,
    iat: now,
    exp: now + ttl,
  }
}

/**
 * Signs claims as a JWT and remembers it as a secret. `alg` may also be one that a validator must
 * refuse: `none`, or an HMAC keyed with the public key's PEM.
 */
export async function sign(
  state: State,
  claims: Claims,
  header: Record<string, unknown> = {},
  key: SigningKey = state.keys.current,
): Promise<string> {
  const full = { alg: 'RS256', kid: key.kid, typ: 'JWT', ...header }
  const payload = Buffer.from(JSON.stringify(claims))
  const token = await encode(full, payload, key)
  remember(state, token)
  return token
}

async function encode(header: { alg: string }, payload: Buffer, key: SigningKey): Promise<string> {
  if (header.alg === 'none') {
    const encoded = Buffer.from(JSON.stringify(header)).toString('base64url')
    return `${encoded}.${payload.toString('base64url')}.`
  }
  const secret = header.alg.startsWith('HS')
    ? Buffer.from(key.publicKey.export({ type: 'spki', format: 'pem' }))
    : key.privateKey
  return new CompactSign(payload)
    .setProtectedHeader(header as CompactJWSHeaderParameters)
    .sign(secret)
}

/**
 * Verifies a token that the emulator signed: signature and times, not its audience.
 *
 * @throws {EmulatorRefusal} `invalid_token`
 */
export async function verifyOwn(state: State, token: string | undefined): Promise<Claims> {
  remember(state, token)
  try {
    const { payload } = await jwtVerify(
      token ?? '',
      ({ kid }) => {
        const key = state.keys.published.find((candidate) => candidate.kid === kid)
        if (key === undefined) throw refusal('invalid_token')
        return key.publicKey
      },
      { algorithms: ['RS256'], currentDate: new Date(state.clock.now()), requiredClaims: ['exp'] },
    )
    return payload
  } catch {
    throw refusal('invalid_token')
  }
}

/** Returns the `token_type` of an answer. */
export function tokenType(jkt: string | undefined): 'DPoP' | 'Bearer' {
  return jkt === undefined ? 'Bearer' : 'DPoP'
}

function accessIssuer(state: State, tenant = DEMO_TENANT): string {
  switch (state.options.issuer) {
    case 'bare':
      return state.projectId
    case 'tenant':
      return `${issuerUrl(state, 'project')}/${tenant}`
    case 'project-url':
      return `${state.baseUrl}/${state.projectId}`
    default:
      return issuerUrl(state, state.options.issuer)
  }
}

function audience(state: State, { clientId, resources, surface }: Subject): string[] {
  const { projectId, options } = state
  const { aud, resourceUrl, projectResource } = options
  if (aud === 'project') return [projectId]
  if (aud === 'client+project') return [clientId, projectId]
  const isProject = surface === 'project'
  const own = resourceUrl && !isProject ? [resourceUrl] : []
  const requested = isProject && !projectResource ? [] : resources
  const bound = requested.length > 0 ? requested : own
  if (bound.length === 0 && (isProject || aud === 'resource')) return [projectId]
  return [...new Set(aud === 'resource' ? bound : [clientId, projectId, ...bound])]
}

function orUndefined<T extends object>(value: T): T | undefined {
  return Object.keys(value).length > 0 ? value : undefined
}

export interface MintOptions {
  /** `foreign`: a key that the project does not have, under the `kid` of the one that it has. */
  key?: 'current' | 'foreign'
}

/**
 * Mints an access token of the user whose id `claims.sub` is, else of the first one.
 *
 * @param claims Replace those that the options in force would give; `undefined` takes one away.
 * @param header Replaces header members; `alg` may be `none` or `HS256` (keyed with the public
 *   key's PEM), to try what a validator must refuse.
 */
export async function mint(
  state: State,
  claims: JsonObject = {},
  header: JsonObject = {},
  { key = 'current' }: MintOptions = {},
): Promise<string> {
  const { scopes } = state.options
  const userId = stringMember(claims, 'sub')
  const subject = { clientId: newClientId(state.projectId), scopes, resources: [], userId }
  const { current } = state.keys
  const signer = key === 'foreign' ? { ...(await createSigningKey()), kid: current.kid } : current
  return sign(state, { ...accessClaims(state, subject), ...claims }, header, signer)
}
