import type { SignInTarget } from '../../auth/tokens/sign-in-target.js'
import { ProxyError } from '../../util/errors.js'
import { isReadableOnTheWay } from '../../util/private-addresses.js'
import type { BridgeTarget } from './find-target.js'

/**
 * Refuses to send a token or another secret over plain http to another machine.
 *
 * @throws {ProxyError} `USAGE` unless the user trusts the network.
 */
export function requirePrivacy(urls: readonly string[], allowHttp: boolean): void {
  const readable = allowHttp ? undefined : urls.find(isReadableOnTheWay)
  if (readable !== undefined) throw sentInTheClear(readable)
}

/** The error for a secret that everybody on the way could read. */
export function sentInTheClear(url: string | URL): ProxyError {
  const { origin, pathname } = new URL(url)
  return new ProxyError(
    'USAGE',
    `${origin}${pathname} is plain http to another machine: everybody on the way could read the token`,
    { hint: 'Use its https URL, or pass `--allow-http` if you trust the network.' },
  )
}

/** The URLs that a bridge to a target sends tokens to. */
export function placesOf({ signIn, configured }: BridgeTarget): string[] {
  const urls = configured?.targets.flatMap(({ url }) => url ?? []) ?? []
  return [...urls, ...placesOfSignIn(signIn)]
}

/** The URLs that the token of a sign-in is asked for or sent to. */
export function placesOfSignIn({ grant }: SignInTarget): string[] {
  return grant.kind === 'server' ? [grant.url.href] : [grant.issuer]
}
