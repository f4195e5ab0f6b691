import { ProxyError } from '../../util/errors.js'
import type { ConfiguredClient } from '../oauth/client.js'
import type { GrantTarget } from '../oauth/discover.js'
import type { BearerChallenge } from '../oauth/parse-challenge.js'
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

/** Why somebody has to sign in. */
export interface SignInNeed {
  /** The target's name, where it is one of several that are signed in to one by one. */
  readonly target?: string
  /** A token that was refused. */
  readonly refused?: string | undefined
  /** The challenge of the refusal. */
  readonly challenge?: BearerChallenge | undefined
}

/** Nothing can be sent to a target before somebody signs in. */
export class SignInRequiredError extends ProxyError {
  readonly need: SignInNeed

  /** @param target What to sign in to, for people. */
  constructor(target: string, need: SignInNeed) {
    super('SIGN_IN_REQUIRED', `somebody has to sign in to ${target} first`)
    this.need = need
  }
}

/** A sign-in as whoever waits for it sees it. Times are milliseconds since the epoch. */
export type SignInView =
  | { readonly phase: 'idle' | 'preparing' }
  | {
      readonly phase: 'done'
      /** The tokens before were another client's: a session of theirs may be refused now. */
      readonly isOtherClient: boolean
    }
  | {
      readonly phase: 'waiting'
      readonly method: 'browser' | 'device' | 'paste'
      /** Where to sign in. It may hold `state`: it is shown to the user and never logged. */
      readonly url: string
      readonly userCode: string | undefined
      readonly expiresAt: number
      /** `opened`, `elsewhere`, `withheld`, `failed`, … */
      readonly tab: string
    }
  | { readonly phase: 'failed'; readonly error: ProxyError }

/** Signs somebody in, for parts that do not know how. */
export interface SignInPort {
  /** Resolves when there are good tokens; rejects with a `ProxyError`. */
  ensure(request: SignInNeed & { interactive: 'offer'; signal: AbortSignal }): Promise<unknown>
  readonly state: SignInView
  onChange(listener: (state: SignInView) => void): () => void
}
