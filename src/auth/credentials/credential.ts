import { ProxyError } from '../../util/errors.js'
import type { Principal } from '../principal.js'

/** Who a request to a target is made for. Both are absent when `serve` runs without authentication. */
export interface Caller {
  readonly principal: Principal | undefined
  /** The verified inbound token. Never sent to a target; token exchange and connections need it. */
  readonly accessToken: string | undefined
}

/** Header names in lower case. */
export type CredentialHeaders = Readonly<Record<string, string>>

/** What a target's callers connect by themselves before anything can be sent there for them. */
export interface Connectable {
  /** The id of the connection. */
  readonly app: string
  /** Who connects: a tenant's administrator does it, and not the caller. */
  readonly by: 'user' | 'tenant'
  /**
   * Requests the page at which this caller connects. The URL is for this caller alone.
   *
   * @throws {ProxyError} when there is none for this caller.
   */
  link(caller: Caller): Promise<string>
}

/** Nothing can be sent to a target for a caller before the caller has connected. */
export class NotConnectedError extends ProxyError {}

/** The way in which we authenticate at one target. */
export interface TargetCredential {
  /** Callers may get different headers, and some none at all. */
  readonly perCaller?: boolean
  /** The target is told who the caller is: what it gives may differ between callers. */
  readonly tellsCaller?: boolean
  /** No credential is configured: a refusal by the target means that one is missing. */
  readonly isNone?: boolean
  /** Present where callers connect an account of theirs first; see {@link NotConnectedError}. */
  readonly connect?: Connectable | undefined
  /** When what everybody is given now ends; absent where that is not known. */
  readonly validity?: (() => Validity | undefined) | undefined
  /**
   * Gives the headers that authenticate a request; at once where nothing has to be fetched.
   *
   * @throws {ProxyError} `CREDENTIAL_REFUSED` when no credential is to be had for this caller.
   * @throws {NotConnectedError} when the caller has to connect first.
   */
  headers(caller: Caller): CredentialHeaders | Promise<CredentialHeaders>
  /**
   * Is told that the target answered these headers with 401 or 403.
   *
   * @returns Whether `headers` now returns other ones, so that the request is worth repeating.
   * @throws {SignInRequiredError} when somebody has to sign in first.
   */
  refused(caller: Caller, refusal: CredentialRefusal): boolean | Promise<boolean>
}

/** How long a credential is good. */
export interface Validity {
  /** Milliseconds since the epoch. */
  readonly endsAt: number
  /** Another one is fetched before that. */
  readonly isRenewed: boolean
}

/** How a target refused a credential. */
export interface CredentialRefusal {
  status: 401 | 403
  /** The `WWW-Authenticate` header. */
  challenge: string | undefined
}
