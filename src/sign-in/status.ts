import type { ProxyError } from '../util/errors.js'

export const LOGIN_METHODS = ['auto', 'browser', 'device', 'paste'] as const

export type LoginMethod = (typeof LOGIN_METHODS)[number]

/**
 * What became of the browser tab:
 * - `off`: none is opened, as somebody wished or because there is no browser here
 * - `opening`, `opened`, `failed`: the launcher was started, worked, did not
 * - `withheld`: too many tabs were opened already without anybody signing in
 * - `elsewhere`: it was opened by the process that started this sign-in
 */
export type TabState = 'off' | 'opening' | 'opened' | 'failed' | 'withheld' | 'elsewhere'

/** Somebody has to act. Times are milliseconds since the epoch. */
export interface WaitingState {
  readonly phase: 'waiting'
  readonly method: Exclude<LoginMethod, 'auto'>
  /** Where to sign in. It may hold `state`: it is shown to the user and never logged. */
  readonly url: string
  /** To be entered at `url`; only with `device`. */
  readonly userCode: string | undefined
  readonly since: number
  readonly expiresAt: number
  readonly tab: TabState
  /** Why it is done in this way, when that is not what one would expect. */
  readonly note: string | undefined
}

export type SignInState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'preparing'; readonly since: number }
  | WaitingState
  | {
      readonly phase: 'done'
      readonly at: number
      /** The tokens before were another client's. */
      readonly isOtherClient: boolean
    }
  | { readonly phase: 'failed'; readonly at: number; readonly error: ProxyError }

/** Holds the state of a sign-in and tells who wants to know. */
export interface StateHolder {
  get(): SignInState
  set(state: SignInState): void
  /** Changes a waiting state; does nothing in the others. */
  update(changes: Partial<WaitingState>): void
  onChange(listener: (state: SignInState) => void): () => void
}

export function createStateHolder(): StateHolder {
  const listeners = new Set<(state: SignInState) => void>()
  let state: SignInState = { phase: 'idle' }
  const set = (next: SignInState) => {
    state = next
    for (const listener of listeners) listener(state)
  }
  return {
    get: () => state,
    set,
    update(changes) {
      if (state.phase === 'waiting') set({ ...state, ...changes })
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
}
