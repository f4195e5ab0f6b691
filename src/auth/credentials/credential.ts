import type { Principal } from '../principal.js'

/** Who a request to a target is made for. Both are absent when `serve` runs without authentication. */
export interface Caller {
  readonly principal: Principal | undefined
  /** The verified inbound token. Never sent to a target; token exchange and connections need it. */
  readonly accessToken: string | undefined
}

/** Header names in lower case. */
export type CredentialHeaders = Readonly<Record<string, string>>

/** The way in which we authenticate at one target. */
export interface TargetCredential {
  /** Callers may get different headers, and some none at all. */
  readonly perCaller?: boolean
  /** Nothing is sent, so that a target that wants something refuses that there is nothing. */
  readonly isNone?: boolean
  /**
   * Gives the headers that authenticate a request; at once where nothing has to be fetched.
   *
   * @throws {ProxyError} `CREDENTIAL_REFUSED` when no credential is to be had for this caller.
   */
  headers(caller: Caller): CredentialHeaders | Promise<CredentialHeaders>
  /**
   * Learns that the target answered 401 or 403 to these headers.
   *
   * @returns Whether `headers` gives better ones now, so that one more try makes sense.
   * @throws {SignInRequiredError} when somebody has to sign in first.
   */
  refused(caller: Caller, refusal: CredentialRefusal): boolean | Promise<boolean>
}

/** How a target refused a credential. */
export interface CredentialRefusal {
  status: 401 | 403
  /** The `WWW-Authenticate` header. */
  challenge: string | undefined
}
