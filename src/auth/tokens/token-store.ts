import { createHash } from 'node:crypto'
import type { OAuthClient } from '../oauth/client.js'

/** What tokens are bound to, as far as it is known before anybody signs in. */
export interface TokenBinding {
  readonly profile: string
  /** The server, or in its absence the resource or issuer, that the tokens are for. */
  readonly url: string
  /** Only when the issuer is configured and not discovered. */
  readonly issuer: string | undefined
  /** Only when the client is configured and not registered. */
  readonly clientId: string | undefined
}

/** Tokens with all that is needed to use, refresh, revoke and describe them. */
export interface TokenRecord {
  readonly binding: TokenBinding
  /** Name of the target, for people. */
  readonly target: string
  readonly issuer: string
  /** Where the issuer's metadata was; `undefined` when it has none. */
  readonly metadataUrl: string | undefined
  /** Sent as `resource` when the tokens were asked for. */
  readonly resource: string | undefined
  /** Without the secret when that comes from the configuration. */
  readonly client: OAuthClient
  readonly accessToken: string
  readonly refreshToken: string | undefined
  /** What was asked for. */
  readonly requestedScope: string | undefined
  /** What was granted; where the server did not say, what was asked for. */
  readonly scope: string | undefined
  /** By our own clock, seconds since the epoch. */
  readonly receivedAt: number
  /** By our own clock, seconds since the epoch; `undefined` when the server did not say. */
  readonly expiresAt: number | undefined
  /** The target refused the access token, and no better one could be had: somebody has to sign in. */
  readonly refused?: true | undefined
}

/** Where tokens are kept, and why there. */
export interface StorePlace {
  readonly kind: 'file' | 'keychain'
  /** Folder of the files. With `keychain`, they are encrypted with a key from the keychain. */
  readonly path: string
  readonly reason: string
}

/** Keeps tokens across starts, shared by all processes of one user. */
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
   * @throws {RetryableError} when another process does not let go.
   */
  exclusively<T>(binding: TokenBinding, task: () => Promise<T>): Promise<T>
}

/** A stable name for files and locks. Two bindings never share it, and it tells nothing. */
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
