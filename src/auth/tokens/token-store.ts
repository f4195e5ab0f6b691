import { createHash } from 'node:crypto'
import { ProxyError } from '../../util/errors.js'
import type { ConfiguredClient, OAuthClient } from '../oauth/client.js'
import type { GrantTarget } from '../oauth/discover.js'
import type { BearerChallenge } from '../oauth/parse-challenge.js'

/** A target to sign in to, with its configuration. */
export interface SignInTarget {
  /** For people: the target's name, or the URL without its query. */
  readonly name: string
  readonly profile: string
  readonly grant: GrantTarget
  readonly client: ConfiguredClient
  /** Scopes that the user requested; without them, those that the target names. */
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

/** The state of a sign-in. Times are milliseconds since the epoch. */
export type SignInView =
  | { readonly phase: 'idle' | 'preparing' }
  | {
      readonly phase: 'done'
      /** The former tokens belonged to another client, whose sessions the target may refuse now. */
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

/** The sign-in, as the bridge uses it. */
export interface SignInPort {
  /** Resolves when there are good tokens; rejects with a `ProxyError`. */
  ensure(request: SignInNeed & { interactive: 'offer'; signal: AbortSignal }): Promise<unknown>
  readonly state: SignInView
  onChange(listener: (state: SignInView) => void): () => void
}

/** What tokens are bound to; all of it is known before the sign-in. */
export interface TokenBinding {
  readonly profile: string
  /** URL of the server that the tokens are for; with a configured issuer, the resource or the issuer. */
  readonly url: string
  /** Only when the issuer is configured and not discovered. */
  readonly issuer: string | undefined
  /** Only when the client is configured and not registered. */
  readonly clientId: string | undefined
}

/** Tokens, with everything needed to use, refresh, revoke and describe them. */
export interface TokenRecord {
  readonly binding: TokenBinding
  /** Name of the target, for people. */
  readonly target: string
  readonly issuer: string
  /** Where the issuer's metadata was; `undefined` when it has none. */
  readonly metadataUrl: string | undefined
  /** Sent as `resource` when the tokens were requested. */
  readonly resource: string | undefined
  /** Without the secret when that comes from the configuration. */
  readonly client: OAuthClient
  readonly accessToken: string
  readonly refreshToken: string | undefined
  /** The private key that both are bound to, a JWK; absent where they are Bearer. */
  readonly proofKey?: string | undefined
  /** What was requested. */
  readonly requestedScope: string | undefined
  /** What was granted; where the server did not say, what was requested. */
  readonly scope: string | undefined
  /** By our own clock, seconds since the epoch. */
  readonly receivedAt: number
  /** By our own clock, seconds since the epoch; `undefined` when the server did not say. */
  readonly expiresAt: number | undefined
  /** The target refused the access token and it could not be replaced: somebody has to sign in. */
  readonly refused?: true | undefined
}

/** Where tokens are kept, and why there. */
export interface StorePlace {
  readonly kind: 'file' | 'keychain'
  /** Folder of the files. With `keychain`, they are encrypted with a key from the keychain. */
  readonly path: string
  readonly reason: string
}

/** Stores tokens on disk, shared by all processes of one user. */
export interface TokenStore {
  load(binding: TokenBinding): Promise<TokenRecord | undefined>
  /** Resolves when the record is safe on disk. */
  save(record: TokenRecord): Promise<void>
  remove(binding: TokenBinding): Promise<void>
  list(): Promise<TokenRecord[]>
  place(): Promise<StorePlace>
  /**
   * Runs `task` while no other process changes these tokens.
   *
   * @throws {RetryableError} when another process keeps the lock for too long.
   */
  exclusively<T>(binding: TokenBinding, task: () => Promise<T>): Promise<T>
}

/** Returns the name of a binding's files and locks: a hash, which reveals nothing. */
export function storeKey({ profile, url, issuer, clientId }: TokenBinding): string {
  const text = JSON.stringify([profile, url, issuer ?? '', clientId ?? ''])
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

/**
 * Tells how long before its end an access token is replaced: 60 s or a tenth of its life, whichever
 * is more, but never more than half of it, so that short-lived tokens are used at all.
 */
function refreshMargin({ receivedAt, expiresAt }: TokenRecord): number {
  const life = Math.max(0, (expiresAt ?? receivedAt) - receivedAt)
  return Math.min(Math.max(60, life / 10), life / 2)
}

/** @param now Seconds since the epoch. */
export function isFresh(record: TokenRecord, now: number): boolean {
  const { expiresAt } = record
  if (expiresAt === undefined) return true
  return expiresAt > now && expiresAt - now >= refreshMargin(record)
}

/** @param now Seconds since the epoch. */
export function isExpired({ expiresAt }: TokenRecord, now: number): boolean {
  return expiresAt !== undefined && expiresAt <= now
}
