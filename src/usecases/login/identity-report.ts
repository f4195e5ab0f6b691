import { splitScopes } from '../../auth/oauth/scopes.js'
import type { StorePlace, TokenRecord } from '../../auth/tokens/token-store.js'
import { accountOf, readUnverifiedClaims } from '../../auth/verify/claims.js'
import { stringMember } from '../../util/json.js'
import { printable } from '../../util/redact.js'
import { shownUrl } from '../../util/url-text.js'
import { formatDuration } from '../access/sign-in-text.js'

/** One signed-in identity as `status --json` and `login --json` print it. Never a token. */
export interface IdentityReport {
  readonly target: string
  readonly url: string
  readonly profile: string
  readonly issuer: string
  readonly subject: string | undefined
  readonly account: string | undefined
  readonly clientId: string
  readonly scopes: readonly string[]
  /** ISO 8601; `null` when the server did not say. */
  readonly expiresAt: string | null
  readonly expired: boolean
  readonly refreshable: boolean
  /** The target refused the token, and so far no better one could be had. */
  readonly refused?: true
  readonly store: StorePlace
}

/** @param now Milliseconds since the epoch. */
export function reportIdentity(
  record: TokenRecord,
  place: StorePlace,
  now: number,
): IdentityReport {
  const { expiresAt, accessToken } = record
  return {
    target: record.target,
    url: shownUrl(record.binding.url),
    profile: record.binding.profile,
    issuer: record.issuer,
    subject: stringMember(readUnverifiedClaims(accessToken), 'sub'),
    account: accountOf(accessToken),
    clientId: record.client.id,
    scopes: splitScopes(record.scope),
    expiresAt: isoTime(expiresAt),
    expired: expiresAt !== undefined && expiresAt * 1_000 <= now,
    refreshable: record.refreshToken !== undefined,
    ...(record.refused && { refused: true }),
    store: place,
  }
}

/** Renders an identity for people. @param now Milliseconds since the epoch. */
export function renderIdentity(report: IdentityReport, now: number): string {
  const { target, url, account, profile, issuer, scopes, store } = report
  const rows = [
    ['account', `${account ?? 'unknown'}   profile ${profile}`],
    ['issuer', issuer],
    ['scopes', scopes.length === 0 ? 'none named' : scopes.join(' ')],
    ['token', tokenLine(report, now)],
    ['store', `${store.kind} ${store.path} (${store.reason})`],
  ]
  // the server that gave the tokens wrote some of it
  const lines = rows.map(([name = '', value = '']) => `  ${name.padEnd(8)} ${printable(value)}`)
  const title = target === url ? url : `${target}   ${url}`
  return `${title}\n${lines.join('\n')}\n`
}

/** `null` for a time that no date can hold: a token may say anything. */
function isoTime(seconds: number | undefined): string | null {
  const date = new Date((seconds ?? Number.NaN) * 1_000)
  return Number.isNaN(date.getTime()) ? null : date.toISOString()
}

function tokenLine(report: IdentityReport, now: number): string {
  const { expiresAt, expired, refreshable } = report
  if (report.refused) return 'refused by the target: sign in again, `mcp-descope-proxy login <url>`'
  const left = expiresAt === null ? undefined : Date.parse(expiresAt) - now
  const when =
    left === undefined
      ? 'no known expiry'
      : expired
        ? `expired ${formatDuration(-left)} ago`
        : `good for ${formatDuration(left)}`
  if (refreshable) return `${when}, refreshes by itself`
  const next = expired
    ? 'sign in again now'
    : left === undefined
      ? 'sign in when it is refused'
      : 'then sign in again'
  return `${when}, no refresh token: ${next}`
}
