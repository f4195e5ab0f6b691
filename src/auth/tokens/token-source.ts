import { ProxyError } from '../../util/errors.js'
import type { BearerChallenge } from '../oauth/parse-challenge.js'

/**
 * What to do about a refused token:
 * - `retry`: `get()` gives another token now; send the request once more
 * - `sign-in`: somebody has to sign in
 * - `step-up`: somebody has to sign in for more scopes, or with a step-up; refreshing cannot help
 * - `give-up`: nothing that can be done here helps; `error` says what can
 */
export type TokenVerdict =
  | { readonly next: 'retry' }
  | { readonly next: 'sign-in' }
  | { readonly next: 'step-up'; readonly scope: string | undefined }
  | { readonly next: 'give-up'; readonly error: ProxyError }

/** Where access tokens for one target come from. */
export interface TokenSource {
  /**
   * Returns an access token that is valid by our clock; `undefined` when somebody has to sign in
   * first, or when the target has not required a token yet.
   *
   * @param challenge Of the target's refusal of a request without a token; `{}` when it had none.
   * @throws {ProxyError} `ISSUER_UNREACHABLE`, with `retryable: true`, when one might be had later.
   */
  get(challenge?: BearerChallenge): Promise<string | undefined>
  /**
   * Decides what to do after the target answered 401 or 403 to a token.
   *
   * @param token The token that was sent.
   * @param challenge The `Bearer` challenge of the answer, if it had one.
   * @throws As `get`.
   */
  refused(token: string, challenge?: BearerChallenge): Promise<TokenVerdict>
  /** Notes that the target accepted a token, so that a later refusal of it is worth a renewal. */
  accepted?(token: string): void
  /** Has the next `get` look for tokens anew: somebody just signed in. */
  lookAgain?(): void
  /** Replaces this token by one that expires later, if possible; `get` then returns that one. */
  renew?(token: string): Promise<void>
}

/** The error code of a 403 that demands more scopes (RFC 6750 §3.1). */
export const INSUFFICIENT_SCOPE = 'insufficient_scope'

/** The error code of a 401 that demands another sign-in, with a step-up (RFC 9470 §3). */
export const INSUFFICIENT_USER_AUTHENTICATION = 'insufficient_user_authentication'

/** Tells whether a refusal demands more than the token has, so that no refresh helps. */
export function requiresMore(challenge: Pick<BearerChallenge, 'error'> | undefined): boolean {
  return challenge?.error === INSUFFICIENT_SCOPE || requiresStepUp(challenge)
}

/** Tells whether a refusal demands another sign-in, whatever the scopes. */
export function requiresStepUp(challenge: Pick<BearerChallenge, 'error'> | undefined): boolean {
  return challenge?.error === INSUFFICIENT_USER_AUTHENTICATION
}

/** Creates the source of a token from the environment, which cannot be replaced here. */
export function staticTokenSource(token: string, variable = 'MCP_DESCOPE_TOKEN'): TokenSource {
  return {
    get: async () => token,
    refused: async (_token, challenge) => ({
      next: 'give-up',
      error: requiresStepUp(challenge)
        ? new ProxyError('CREDENTIAL_REFUSED', `The token in ${variable} lacks a step-up`, {
            hint: `Set ${variable} to a token of a sign-in with a step-up, or remove it to sign in.`,
          })
        : challenge?.error === INSUFFICIENT_SCOPE
          ? missingScope(variable, challenge.scope)
          : new ProxyError('CREDENTIAL_REFUSED', `The token in ${variable} was refused`, {
              hint: `Set ${variable} to a valid token, or remove it to sign in.`,
            }),
    }),
  }
}

function missingScope(variable: string, scope: string | undefined): ProxyError {
  const needed = scope === undefined ? 'more scopes' : `the scopes ${JSON.stringify(scope)}`
  return new ProxyError('CREDENTIAL_REFUSED', `The token in ${variable} lacks ${needed}`, {
    hint: `Set ${variable} to a token with these scopes, or remove it to sign in.`,
  })
}
