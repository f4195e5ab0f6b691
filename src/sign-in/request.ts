import type { BearerChallenge } from '../auth/oauth/parse-challenge.js'
import { missingScopes, splitScopes } from '../auth/oauth/scopes.js'
import { INSUFFICIENT_SCOPE } from '../auth/tokens/token-source.js'
import type { TokenRecord } from '../auth/tokens/token-store.js'
import { ProxyError } from '../util/errors.js'

/** What is wanted of a sign-in. */
export interface EnsureRequest {
  /**
   * `never`: nobody may be asked; `offer`: somebody may be there, and the browser is opened within
   * the budget of tabs; `asked`: the user asked for it just now.
   */
  interactive: 'never' | 'offer' | 'asked'
  /** A token that was refused, so that the store's copy of it is not taken for an answer. */
  refused?: string | undefined
  /** The challenge of the answer that led here. */
  challenge?: BearerChallenge | undefined
  /** Signs in even when there is a good token. */
  force?: boolean
  signal?: AbortSignal
}

/** Tells whether somebody has to sign in for more scopes. */
export function isStepUp({ challenge }: EnsureRequest): boolean {
  return challenge?.error === INSUFFICIENT_SCOPE
}

/** The scopes that a refused request needed and a record does not have. */
export function neededScopes(request: EnsureRequest, record: TokenRecord): string[] {
  return isStepUp(request) ? missingScopes(request.challenge?.scope, record.scope) : []
}

/** The error for scopes that somebody was asked for and did not get. */
export function scopesNotGranted(target: string, missing: readonly string[]): ProxyError {
  const names = splitScopes(missing.join(' ')).join(' ')
  return new ProxyError(
    'CREDENTIAL_REFUSED',
    `${target} needs scopes that were not granted: ${names}`,
    {
      hint: 'Ask the operator to grant them to you, then run `mcp-descope-proxy login --force`.',
    },
  )
}
