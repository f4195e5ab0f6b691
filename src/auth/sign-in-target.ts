import type { ConfiguredClient } from './oauth/client.js'
import type { GrantTarget } from './oauth/discover.js'
import type { TokenBinding } from './token-store.js'

/** What somebody signs in for: a target, with whatever of it is configured. */
export interface SignInTarget {
  /** For people: the target's name, or the URL without its query. */
  readonly name: string
  readonly profile: string
  readonly grant: GrantTarget
  readonly client: ConfiguredClient
  /** Scopes that the user asked for; without them, those that the target asks for. */
  readonly scope: string | undefined
}

/** What the tokens of a target are bound to. */
export function bindingOf({ profile, grant, client }: SignInTarget): TokenBinding {
  const clientId = client.id ?? client.metadataUrl
  if (grant.kind === 'issuer') {
    return { profile, url: grant.resource ?? grant.issuer, issuer: grant.issuer, clientId }
  }
  const url = new URL(grant.url)
  url.hash = ''
  return { profile, url: url.href, issuer: undefined, clientId }
}
