import type { StepUp } from '../auth/oauth/authorization.js'
import { storable } from '../auth/oauth/client.js'
import type { GrantPlan } from '../auth/oauth/discover.js'
import type { BearerChallenge } from '../auth/oauth/parse-challenge.js'
import type { ClientStore } from '../auth/oauth/registration.js'
import { missingScopes, splitScopes } from '../auth/oauth/scopes.js'
import { type Grant, grantTimes } from '../auth/oauth/token-endpoint.js'
import { requiresMore } from '../auth/tokens/token-source.js'
import {
  bindingOf,
  type SignInTarget,
  type SignInView,
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

export interface SignInDeps {
  runtime: SignInRuntime
  target: SignInTarget
  store: TokenStore
  clients: ClientStore
  /** The user's data folder. */
  folder: string
  options: SignInOptions
}

/** One sign-in: what all ways to sign in have in common. */
export interface Flow extends Readonly<SignInDeps> {
  readonly key: string
  readonly pending: PendingStore
  readonly tabQuota: BrowserTabQuota
  readonly holder: StateHolder
  readonly environment: Environment
  /** The user requested it just now, so that the quota of tabs does not count. */
  readonly requested: boolean
  /** It requests more scopes, which has a quota of its own. */
  readonly isStepUp: boolean
  readonly signal: AbortSignal
}

/** What to sign in to and how: with the chosen scopes and method. */
export interface FlowPlan extends GrantPlan {
  readonly scope: string | undefined
  /** How the person must sign in anew; `undefined` where an earlier sign-in at the server will do. */
  readonly stepUp: StepUp | undefined
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

/** @param resumed Another process began this sign-in. */
function tabOf(pending: PendingSignIn, resumed: boolean): TabState {
  if (pending.kind === 'device' || (pending.method === 'paste' && !resumed)) return 'off'
  return resumed ? (pending.tab ?? 'elsewhere') : 'opening'
}

/** What finishing a sign-in needs, in this process or in another one. */
export type FinishingFlow = Pick<Flow, 'store' | 'pending' | 'tabQuota' | 'requested'> & {
  readonly runtime: Pick<SignInRuntime, 'clock' | 'fetch'>
  readonly target?: SignInTarget | undefined
}

/** Stores the tokens of a finished sign-in, where all processes find them. */
export async function keepGrant(
  flow: FinishingFlow,
  pending: PendingSignIn,
  grant: Grant,
): Promise<TokenRecord> {
  const { store, runtime } = flow
  const { server, client, resource, scope } = pending
  const binding = pending.binding ?? (flow.target && bindingOf(flow.target))
  if (binding === undefined) {
    throw new ProxyError('USAGE', 'The sign-in does not name its target', {
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
    ...(grant.proofKey !== undefined && { proofKey: grant.proofKey }),
    requestedScope: scope,
    scope: grant.scope ?? scope,
    ...grantTimes(runtime.clock.now(), grant),
  }
  await store.exclusively(binding, () => store.save(record))
  await flow.pending.remove(pending.key)
  if (flow.requested) await flow.tabQuota.reset()
  return record
}

export function tookTooLong(): ProxyError {
  return new ProxyError('SIGN_IN_FAILED', 'Nobody signed in in time', {
    hint: 'Run `mcp-descope-proxy login` to try again.',
  })
}

export function wasInterrupted(): ProxyError {
  return new ProxyError('INTERRUPTED', 'The sign-in was interrupted')
}

/** A request for good tokens. */
export interface EnsureRequest {
  /**
   * `never`: no sign-in may be started; `offer`: somebody may be there, and the browser is opened within
   * the quota of tabs; `requested`: the user requested it just now.
   */
  interactive: 'never' | 'offer' | 'requested'
  /** A token that was refused: a stored record with it does not count. */
  refused?: string | undefined
  /** The challenge of the answer that led here. */
  challenge?: BearerChallenge | undefined
  /** Signs in even when there is a good token. */
  force?: boolean
  signal?: AbortSignal
}

/** Tells whether somebody has to sign in for more scopes, or with a step-up. */
export function isStepUp({ challenge }: EnsureRequest): boolean {
  return requiresMore(challenge)
}

/** The scopes that a refused request needed and a record does not have. */
export function neededScopes(request: EnsureRequest, record: TokenRecord): string[] {
  return isStepUp(request) ? missingScopes(request.challenge?.scope, record.scope) : []
}

/** The error for scopes that were requested at a sign-in and not granted. */
export function scopesNotGranted(target: string, missing: readonly string[]): ProxyError {
  const names = splitScopes(missing.join(' ')).join(' ')
  const what = `${target} needs scopes that were not granted: ${names}`
  return new ProxyError('CREDENTIAL_REFUSED', what, {
    hint: 'Ask the operator to grant them to you, then run `mcp-descope-proxy login --force`.',
  })
}

/** The error for a target that demands another step-up after each sign-in. */
export function stepUpInVain(target: string): ProxyError {
  const what = `${target} asked for a step-up again and again, and no sign-in was enough for it`
  return new ProxyError('CREDENTIAL_REFUSED', what, {
    hint: 'Run `mcp-descope-proxy login --force` and confirm there that it is you; ask the operator what a step-up takes (in Descope: a flow that ends with one, so that tokens carry `su`).',
  })
}

/**
 * The browser tab of a sign-in:
 * - `off`: none is opened, because of an option or because there is no browser here
 * - `opening`, `opened`, `failed`: the browser is being started, was started, could not be started
 * - `withheld`: too many tabs were opened already without anybody signing in
 * - `elsewhere`: it was opened by the process that started this sign-in
 */
export type TabState = 'off' | 'opening' | 'opened' | 'failed' | 'withheld' | 'elsewhere'

/** Somebody has to act. Times are milliseconds since the epoch. */
export interface WaitingState extends Extract<SignInView, { phase: 'waiting' }> {
  readonly since: number
  readonly tab: TabState
  /** Why the sign-in works in this way, when that is not what one would expect. */
  readonly note: string | undefined
}

export type SignInState = Exclude<SignInView, { phase: 'waiting' }> | WaitingState

/** Holds the state of a sign-in and reports each change. */
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
