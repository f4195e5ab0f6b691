import type { ProxyError } from '../util/errors.js'
import type { BearerChallenge } from './oauth/challenge.js'

/** Why somebody has to sign in. */
export interface SignInNeed {
  /** Which of several targets it is for, for people. */
  readonly target?: string
  /** A token that was refused. */
  readonly refused?: string | undefined
  /** The challenge of the refusal. */
  readonly challenge?: BearerChallenge | undefined
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
