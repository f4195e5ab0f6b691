import { discoverProtectedResource } from '../oauth/discover.js'
import type { HttpDeps } from '../oauth/http.js'
import type { BearerChallenge } from '../oauth/parse-challenge.js'
import type { TokenRecord } from './token-store.js'

/**
 * Tells whether a target that refused a token still names the issuer and the resource that the token
 * is from and for. Where its operator changed either, the issuer of before may refresh on and on, and
 * no token of its will ever do.
 *
 * @returns `true` too where the target does not say, or cannot be asked now.
 */
export async function isStillNamed(
  deps: HttpDeps,
  target: URL,
  { issuer, resource }: Pick<TokenRecord, 'issuer' | 'resource'>,
  challenge: BearerChallenge | undefined,
): Promise<boolean> {
  const found = await discoverProtectedResource(deps, target, challenge?.resourceMetadata).catch(
    () => undefined,
  )
  if (found === undefined) return true
  if (resource !== undefined && !isSame(resource, found.resource)) return false
  const { authorizationServers } = found
  return (
    authorizationServers.length === 0 || authorizationServers.some((one) => isSame(one, issuer))
  )
}

/** Servers write one and the same identifier with and without a slash at its end. */
const isSame = (one: string, other: string) => withoutSlash(one) === withoutSlash(other)

const withoutSlash = (text: string) => (text.endsWith('/') ? text.slice(0, -1) : text)
