import { isObject, stringMember, tryParseJson } from '../../util/json.js'
import { requestReply } from '../fetch-json.js'
import { nameOf, readUnverifiedClaims } from '../verify/unverified-claims.js'
import { type HttpDeps, requireSafeUrl } from './http.js'
import { splitScopes } from './scopes.js'
import type { AuthorizationServer } from './server-metadata.js'

/** Somebody looks at a page that waits for this. */
const LIMITS = { timeoutMs: 2_000, maxBytes: 65_536 }

/**
 * Names who signed in, for people: by the token where it says more than an id, else as the
 * authorization server knows them, if it may be asked with this token.
 *
 * @returns `undefined` when nobody says, for whatever reason. Never rejects.
 * @see [OpenID Connect Core §5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)
 */
export async function whoSignedIn(
  deps: HttpDeps,
  { issuer, userinfoEndpoint }: AuthorizationServer,
  { accessToken, scope }: { accessToken: string; scope: string | undefined },
): Promise<string | undefined> {
  const claims = readUnverifiedClaims(accessToken)
  const name = nameOf(claims)
  if (name !== undefined || userinfoEndpoint === undefined) return name
  if (!splitScopes(scope).includes('openid')) return undefined
  try {
    const url = requireSafeUrl(deps, userinfoEndpoint, '"userinfo_endpoint"', new URL(issuer))
    const headers = { authorization: `Bearer ${accessToken}`, accept: 'application/json' }
    const { status, text = '' } = await requestReply(deps, url.href, { headers }, LIMITS)
    const said = status === 200 ? tryParseJson(text) : undefined
    if (!isObject(said)) return undefined
    const subject = stringMember(claims, 'sub')
    const isOther = subject !== undefined && stringMember(said, 'sub') !== subject
    return isOther ? undefined : nameOf(said)
  } catch {
    return undefined
  }
}
