import type { BearerChallenge } from '../auth/oauth/parse-challenge.js'

/** What a request is authenticated with. */
export interface Proof {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The access token, where it is one. */
  readonly token: string | undefined
}

/** How we authenticate at the target, as far as it is known before anything is sent. */
export interface Access {
  /** For people: `client credentials`, `TARGET_TOKEN`, `signed in`. */
  readonly label: string
  /**
   * - `static`: a credential of the target's own, for which it needs no metadata
   * - `token`: an access token that was given
   * - `client`: client credentials, at the authorization server that the target names
   * - `stored`: whatever sign-in is kept, if any
   */
  readonly kind: 'static' | 'token' | 'client' | 'stored'
  /** Sent with every request, even those without a credential. */
  readonly plain: Readonly<Record<string, string>>
  /** The client that asks for tokens is registered already. */
  readonly hasClient: boolean
  /**
   * Gets the proof; `undefined` when somebody has to sign in first.
   *
   * @throws {ProxyError} when none is to be had.
   */
  authenticate(challenge: BearerChallenge | undefined): Promise<Proof | undefined>
  /** Gets a better proof than one that was refused, if there is one. */
  again(proof: Proof, challenge: BearerChallenge | undefined): Promise<Proof | undefined>
}

/** Tells whether somebody gave us a credential for this very check. */
export function isGiven({ kind }: Access): boolean {
  return kind !== 'stored'
}
