import { discoverProtectedResource } from '../oauth/discover.js'
import type { HttpDeps } from '../oauth/http.js'
import type { BearerChallenge } from '../oauth/parse-challenge.js'
import type { TokenRecord } from './token-store.js'

/**
 * Tells whether the metadata of a target that refused a token still names the token's issuer and
 * resource. After its operator changed either, the former issuer may keep refreshing, but the target
 * would refuse all of its tokens.
 *
 * @returns `true` also when there is no metadata, or it cannot be fetched now.
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
  const servers = found.authorizationServers
  return servers.length === 0 || servers.some((one) => isSame(one, issuer))
}

/** Ignores a slash at the end, which servers write in one place and leave out in another. */
const isSame = (one: string, other: string) => withoutSlash(one) === withoutSlash(other)

const withoutSlash = (text: string) => (text.endsWith('/') ? text.slice(0, -1) : text)
