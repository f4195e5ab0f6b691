import { storable } from '../auth/oauth/client.js'
import type { GrantPlan } from '../auth/oauth/discover.js'
import { OAuthRefusedError, withRetries } from '../auth/oauth/failure.js'
import type { BearerChallenge } from '../auth/oauth/parse-challenge.js'
import type { ClientStore } from '../auth/oauth/registration.js'
import { missingScopes, splitScopes } from '../auth/oauth/scopes.js'
import { type Grant, grantTimes } from '../auth/oauth/token-endpoint.js'
import { INSUFFICIENT_SCOPE } from '../auth/tokens/token-source.js'
import {
  bindingOf,
  type SignInTarget,
  type TokenRecord,
  type TokenStore,
} from '../auth/tokens/token-store.js'
import { ProxyError } from '../util/errors.js'
import type { Runtime } from '../util/runtime.js'
import type { BrowserTabQuota, Environment } from './browser.js'
import type { CallbackChoice, LoginMethod } from './options.js'
import type { PendingSignIn, PendingStore } from './pending-sign-in.js'

export interface SignInOptions extends CallbackChoice {
  method: LoginMethod
  /** `false` never opens a browser; the URL is shown all the same. */
  openBrowser: boolean
  /** How long somebody has to sign in, milliseconds. */
  timeoutMs: number
  /** How often a device code that expired is replaced by a new one. */
  deviceRenewals: number
  /** The program to go back to, for the page that the browser shows. */
  returnTo: () => string | undefined
  /** Texts that the user pasted; returns a function that stops listening. */
  onPaste?: (listener: (text: string) => void) => () => void
}

export type SignInRuntime = Pick<
  Runtime,
  'allowHttp' | 'clock' | 'fetch' | 'env' | 'platform' | 'system'
>

/** What the ways of signing in share. */
export interface Flow {
  readonly runtime: SignInRuntime
  readonly target: SignInTarget
  readonly key: string
  /** The user's data folder. */
  readonly folder: string
  readonly store: TokenStore
  readonly clients: ClientStore
  readonly pending: PendingStore
  readonly tabQuota: BrowserTabQuota
  readonly holder: StateHolder
  readonly environment: Environment
  readonly options: SignInOptions
  /** The user asked for it just now, so that the quota of tabs does not count. */
  readonly asked: boolean
  /** It asks for more scopes, which has a quota of its own. */
  readonly isStepUp: boolean
  readonly signal: AbortSignal
}

/** A plan with the scopes that were chosen and the way that will be gone. */
export interface FlowPlan extends GrantPlan {
  readonly scope: string | undefined
  readonly method: Exclude<LoginMethod, 'auto'>
  readonly note: string | undefined
}

/** Shows that somebody has to act. */
export function showWaiting({ holder }: Flow, pending: PendingSignIn, resumed: boolean): void {
  holder.set({
    phase: 'waiting',
    method: pending.kind === 'device' ? 'device' : pending.method,
    url: pending.url,
    userCode: pending.kind === 'device' ? pending.userCode : undefined,
    since: pending.since,
    expiresAt: pending.expiresAt,
    tab: tabOf(pending, resumed),
    note: pending.note,
  })
}

/** Whoever prepared a sign-in decides next whether a tab is opened for it. */
function tabOf(pending: PendingSignIn, resumed: boolean): TabState {
  if (pending.kind === 'device' || (pending.method === 'paste' && !resumed)) return 'off'
  return resumed ? (pending.tab ?? 'elsewhere') : 'opening'
}

/** What the end of a sign-in needs, in whichever process that is. */
export type FinishingFlow = Pick<Flow, 'store' | 'pending' | 'tabQuota' | 'asked'> & {
  readonly runtime: Pick<SignInRuntime, 'clock' | 'fetch'>
  readonly target?: SignInTarget | undefined
}

/** Puts the tokens of a finished sign-in where everybody finds them. */
export async function keepGrant(
  flow: FinishingFlow,
  pending: PendingSignIn,
  grant: Grant,
): Promise<TokenRecord> {
  const { store, runtime } = flow
  const { server, client, resource, scope } = pending
  const binding = pending.binding ?? (flow.target && bindingOf(flow.target))
  if (binding === undefined) {
    throw new ProxyError('USAGE', 'This sign-in does not say what it is for', {
      hint: 'Name the target: `mcp-descope-proxy login <target-or-url> --paste "<url>"`.',
    })
  }
  const record: TokenRecord = {
    binding,
    target: pending.target ?? flow.target?.name ?? binding.url,
    issuer: server.issuer,
    metadataUrl: server.metadataUrl,
    resource,
    client: storable(client, grant),
    accessToken: grant.accessToken,
    refreshToken: grant.refreshToken,
    requestedScope: scope,
    scope: grant.scope ?? scope,
    ...grantTimes(runtime.clock.now(), grant),
  }
  await store.exclusively(binding, () => store.save(record))
  await flow.pending.remove(pending.key)
  if (flow.asked) await flow.tabQuota.reset()
  return record
}

/** An exchange is tried again only where the server said that it did nothing. */
export function exchangeWithRetries<T>(
  flow: Pick<FinishingFlow, 'runtime'>,
  task: () => Promise<T>,
): Promise<T> {
  return withRetries(
    flow.runtime,
    task,
    (error) => error instanceof OAuthRefusedError && error.refusal.kind === 'transient',
  )
}

export function tookTooLong(): ProxyError {
  return new ProxyError('SIGN_IN_FAILED', 'Nobody signed in in time', {
    hint: 'Run `mcp-descope-proxy login` to try again.',
  })
}

export function wasInterrupted(): ProxyError {
  return new ProxyError('INTERRUPTED', 'The sign-in was interrupted')
}

/** What is wanted of a sign-in. */
export interface EnsureRequest {
  /**
   * `never`: nobody may be asked; `offer`: somebody may be there, and the browser is opened within
   * the quota of tabs; `asked`: the user asked for it just now.
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
