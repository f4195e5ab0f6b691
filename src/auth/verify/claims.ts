import {
  bareObject,
  copyForeign,
  isObject,
  type JsonObject,
  ownMember,
  setMember,
  stringMember,
  stringsMember,
  textMember,
  tryParseJson,
} from '../../util/json.js'
import type { Principal } from '../principal.js'
import { quoteForLog, TokenError } from './token-error.js'

/** Tolerated difference between our clock and Descope's, seconds. */
const SKEW = 5

export interface ClaimRules {
  acceptsIssuer: (issuer: string) => boolean
  acceptsAudience: (audience: string) => boolean
  /** Its tokens are for us even when `aud` names only the project or the client. */
  ownServer?: OwnServer | undefined
  /** Named in the message when the audience is wrong. */
  expectedAudience: string
  /** Tokens bound to a key are taken: whoever takes them checks the proof of each request. */
  acceptsBound?: boolean | undefined
}

/** An MCP server in Descope that stands for one endpoint of ours and for nothing else. */
export interface OwnServer {
  /** The agentic issuer, which names the MCP server. */
  readonly issuer: string
  readonly projectId: string
}

/**
 * Checks the claims of an access token against the rules. Does not check the signature, nor scopes.
 *
 * @param now Seconds since the epoch.
 * @throws {TokenError} With the reason for which the token is refused.
 *
 * @see [RFC 9068 §4](https://www.rfc-editor.org/rfc/rfc9068#section-4) Validating JWT Access Tokens
 */
export function checkClaims(claims: JsonObject, now: number, rules: ClaimRules): void {
  checkTimes(claims, now)
  checkUse(claims)
  const { iss, sub } = claims
  if (typeof iss !== 'string' || !rules.acceptsIssuer(iss)) {
    throw new TokenError('wrong_issuer', 'The access token is from another issuer', {
      details: { receivedIssuer: quoteForLog(iss) },
    })
  }
  const audiences = audiencesOf(claims)
  if (!audiences.some(rules.acceptsAudience) && !isOfServer(claims, audiences, rules.ownServer)) {
    const { expectedAudience } = rules
    const what = `The access token is for another audience than ${expectedAudience}${hintOn(audiences)}`
    const receivedAudience = quoteForLog(claims['aud'])
    throw new TokenError('wrong_audience', what, {
      details: { receivedAudience, expectedAudience },
    })
  }
  if (typeof sub !== 'string' || sub === '') {
    throw new TokenError('malformed', 'The access token names no subject')
  }
  checkBinding(claims, rules.acceptsBound === true)
}

/**
 * Refuses tokens that only the holder of a key may use, unless proofs of that key are checked: taken as
 * Bearer, they would serve whoever stole them. That `cnf` names a key of another kind than that of DPoP,
 * a second one, or none, is refused always.
 *
 * @see [RFC 9449 §7.2](https://www.rfc-editor.org/rfc/rfc9449#section-7.2) Compatibility with the Bearer Authentication Scheme
 * @see [RFC 7800 §3](https://www.rfc-editor.org/rfc/rfc7800#section-3) Representations for Proof-of-Possession Keys
 */
function checkBinding(claims: JsonObject, acceptsBound: boolean): void {
  if (ownMember(claims, 'cnf') === undefined) return
  if (!acceptsBound) throw boundToKey('ask for one without a DPoP proof')
  if (thumbprintOf(claims) === undefined) {
    const what = 'The access token is bound to a key (cnf) of another kind than that of DPoP (jkt)'
    throw new TokenError('bound_to_key', what)
  }
}

/** The error for a token that was sent as Bearer although it is bound to a key. */
export function boundToKey(remedy: string): TokenError {
  const what = 'The access token is bound to a key (cnf) and may not be sent as Bearer here'
  return new TokenError('bound_to_key', `${what}: ${remedy}`)
}

/** A SHA-256 in base64url. */
const THUMBPRINT = /^[\w-]{43}$/

/** Returns the thumbprint of the key that a token is bound to, where that is all that binds it. */
function thumbprintOf(claims: JsonObject): string | undefined {
  const cnf = ownMember(claims, 'cnf')
  if (!isObject(cnf) || Object.keys(cnf).length !== 1) return undefined
  const jkt = stringMember(cnf, 'jkt')
  return jkt !== undefined && THUMBPRINT.test(jkt) ? jkt : undefined
}

/** The MCP server that a configuration URL names, if it names one. */
export function ownServerOf({
  issuer,
  projectId,
  serverId,
}: OwnServer & { readonly serverId: string | undefined }): OwnServer | undefined {
  return serverId === undefined ? undefined : { issuer, projectId }
}

/** Tells whether our own MCP server issued a token, for its project or for the client it was issued to. */
function isOfServer(
  claims: JsonObject,
  audiences: readonly string[],
  server: OwnServer | undefined,
): boolean {
  if (server === undefined || claims['iss'] !== server.issuer) return false
  const client = clientOf(claims)
  return (
    audiences.includes(server.projectId) || (client !== undefined && audiences.includes(client))
  )
}

/** Says which setting is missing where `aud` has ids only. */
function hintOn(audiences: readonly string[]): string {
  if (audiences.some((audience) => audience.includes('://'))) return ''
  const what = audiences.length === 0 ? 'no audience' : 'only a project or a client'
  return `: it names ${what}; enter this URL in Descope as MCP Server URL`
}

/**
 * Makes a principal of claims that were checked.
 *
 * @param keptClaims Names of further claims to keep as they are, or all of them.
 */
export function toPrincipal(
  claims: JsonObject,
  keptClaims: readonly string[] | 'all' = [],
): Principal {
  const kept = keptClaims === 'all' ? Object.keys(claims) : keptClaims
  const tenant = stringMember(claims, 'dct')
  const tenants = claims['tenants']
  const member = tenant !== undefined && isObject(tenants) ? ownMember(tenants, tenant) : undefined
  const inTenant = isObject(member) ? member : {}
  const both = (name: string) => [
    ...new Set([...stringsMember(claims, name), ...stringsMember(inTenant, name)]),
  ]
  const userId = textMember(claims, 'dsub')
  const keyThumbprint = thumbprintOf(claims)
  return Object.freeze({
    issuer: stringMember(claims, 'iss') ?? '',
    subject: stringMember(claims, 'sub') ?? '',
    ...(userId !== undefined && { userId }),
    clientId: clientOf(claims),
    scopes: readScopes(claims),
    tenant,
    roles: both('roles'),
    permissions: both('permissions'),
    ...(ownMember(claims, 'su') === true && { steppedUp: true }),
    ...(keyThumbprint !== undefined && { keyThumbprint }),
    name: stringMember(claims, 'name') ?? stringMember(claims, 'email'),
    expiresAt: numberClaim(claims, 'exp') ?? 0,
    ...(kept.length > 0 && { claims: keep(claims, kept) }),
  })
}

/** Copies some claims; what no claim should hold is left out of the copy. */
function keep(claims: JsonObject, names: readonly string[]): JsonObject {
  const kept: JsonObject = bareObject()
  for (const name of names) {
    const value = ownMember(claims, name)
    if (value !== undefined) setMember(kept, name, copyForeign(value))
  }
  return kept
}

/** The first of `scope`, `scp` and `scopes` that is there: a string with spaces, or an array. */
function readScopes(claims: JsonObject): ReadonlySet<string> {
  const name = ['scope', 'scp', 'scopes'].find(
    (candidate) => ownMember(claims, candidate) !== undefined,
  )
  if (name === undefined) return new Set()
  const text = stringMember(claims, name)
  return new Set(text === undefined ? stringsMember(claims, name) : text.split(' ').filter(Boolean))
}

function checkTimes(claims: JsonObject, now: number): void {
  const expiresAt = numberClaim(claims, 'exp')
  if (expiresAt === undefined) {
    throw new TokenError('no_expiry', 'The access token has no expiry')
  }
  if (now >= expiresAt + SKEW) throw new TokenError('expired', 'The access token has expired')
  for (const name of ['nbf', 'iat']) {
    const time = numberClaim(claims, name)
    if (time !== undefined && time > now + SKEW) {
      throw new TokenError('not_yet_valid', 'The access token is not valid yet')
    }
  }
}

/**
 * Tells refresh and id tokens apart by what only they have: Descope marks refresh tokens with the
 * `drn` "DSR"; an id token has hashes of what it came with, or a nonce without any scope.
 */
function checkUse(claims: JsonObject): void {
  const { drn, token_use: use } = claims
  const idToken =
    ['at_hash', 'c_hash', 's_hash'].some((name) => ownMember(claims, name) !== undefined) ||
    (claims['nonce'] !== undefined && readScopes(claims).size === 0)
  if (drn === 'DSR' || idToken || (use !== undefined && use !== 'access')) {
    throw new TokenError('not_an_access_token', 'The token is not an access token')
  }
}

/** The client that a token was issued to. */
function clientOf(claims: JsonObject): string | undefined {
  return stringMember(claims, 'azp') ?? stringMember(claims, 'client_id')
}

/** Returns the audiences of a token: `aud` is a string or a list. */
export function audiencesOf(claims: JsonObject): string[] {
  const { aud } = claims
  return typeof aud === 'string' ? [aud] : stringsMember(claims, 'aud')
}

function numberClaim(claims: JsonObject, name: string): number | undefined {
  const value = ownMember(claims, name)
  if (value === undefined) return undefined
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw new TokenError('malformed', `The access token has a malformed "${name}"`)
}

/**
 * Returns a function that tells whether an audience is the resource: the same characters but for
 * the case of scheme and host and for one trailing slash, on either side.
 *
 * Nothing else is normalised: another port, an encoded character or a dot segment is another resource.
 *
 * @see [RFC 8707 §2](https://www.rfc-editor.org/rfc/rfc8707#section-2) Resource Parameter
 */
export function isResource(resource: string): (audience: string) => boolean {
  const expected = comparable(resource)
  return (audience) => audience === resource || comparable(audience) === expected
}

function comparable(resource: string): string {
  const origin = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i.exec(resource)?.[0] ?? ''
  return origin.toLowerCase() + resource.slice(origin.length).replace(/\/$/, '')
}

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
