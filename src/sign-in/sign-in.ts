import { bindingOf, isExpired, storeKey, type TokenRecord } from '../auth/tokens/token-store.js'
import { singleFlight } from '../util/async.js'
import { messageOf, ProxyError } from '../util/errors.js'
import { createTabQuota, detectEnvironment } from './browser.js'
import {
  createStateHolder,
  type EnsureRequest,
  type Flow,
  isStepUp,
  neededScopes,
  type SignInDeps,
  type SignInState,
  scopesNotGranted,
} from './flow.js'
import { isCi } from './options.js'
import { createPendingStore } from './pending-sign-in.js'

/** The sign-in to one target, which all processes share. */
export interface SignIn {
  /**
   * Resolves with good tokens: from the store, or from a sign-in in this process or another one.
   * Concurrent calls share one sign-in.
   *
   * @throws {ProxyError} `SIGN_IN_REQUIRED`, `SIGN_IN_FAILED`, `CREDENTIAL_REFUSED`,
   *   `ISSUER_UNREACHABLE`, `DISCOVERY_INVALID`, `LISTEN_FAILED` or `INTERRUPTED`
   */
  ensure(request: EnsureRequest): Promise<TokenRecord>
  readonly state: SignInState
  onChange(listener: (state: SignInState) => void): () => void
}

/** Creates the sign-in of one target. Nothing is loaded or sent before `ensure` is called. */
export function createSignIn(deps: SignInDeps): SignIn {
  const { runtime, target, store } = deps
  const { clock } = runtime
  const holder = createStateHolder()
  const key = storeKey(bindingOf(target))
  const tabQuota = createTabQuota(deps.folder, key, clock.now)

  const isGood = (record: TokenRecord | undefined, request: EnsureRequest) =>
    record !== undefined &&
    record.accessToken !== request.refused &&
    !isExpired(record, clock.now() / 1_000) &&
    neededScopes(request, record).length === 0

  const run = async (request: EnsureRequest): Promise<TokenRecord> => {
    const stored = await store.load(bindingOf(target))
    if (stored !== undefined && !request.force && isGood(stored, request)) return stored
    refuseIfNobodyThere(deps, request)
    holder.set({ phase: 'preparing' })
    try {
      const { signInExclusively } = await import('./exclusive-sign-in.js')
      const flow: Flow = {
        ...deps,
        key,
        tabQuota,
        holder,
        pending: createPendingStore(deps.folder, clock.now),
        environment: detectEnvironment(runtime),
        requested: request.interactive === 'requested',
        isStepUp: isStepUp(request),
        signal: request.signal ?? new AbortController().signal,
      }
      const record = await signInExclusively(flow, request, stored, (found) =>
        isGood(found, request),
      )
      const missing = neededScopes(request, record)
      if (missing.length > 0) throw scopesNotGranted(target.name, missing)
      const isOtherClient = stored !== undefined && stored.client.id !== record.client.id
      holder.set({ phase: 'done', isOtherClient })
      return record
    } catch (thrown) {
      const error =
        thrown instanceof ProxyError
          ? thrown
          : new ProxyError('INTERNAL', `The sign-in failed: ${messageOf(thrown)}`, {
              cause: thrown,
            })
      holder.set({ phase: 'failed', error })
      throw error
    }
  }

  let latest: EnsureRequest = { interactive: 'never' }
  const runOnce = singleFlight(() => run(latest))
  return {
    ensure(request) {
      if (request.interactive === 'never') return run(request) // this never starts a sign-in
      latest = request
      return runOnce()
    },
    get state() {
      return holder.get()
    },
    onChange: holder.onChange,
  }
}

/** @throws {ProxyError} `SIGN_IN_REQUIRED` when no sign-in may be started, or in CI, where nobody can answer. */
function refuseIfNobodyThere(deps: SignInDeps, { interactive }: EnsureRequest): void {
  const { runtime, options, target } = deps
  const chosen = interactive === 'requested' && options.method !== 'auto'
  if (interactive !== 'never' && (chosen || !isCi(runtime.env))) return
  throw new ProxyError('SIGN_IN_REQUIRED', `Nobody is signed in to ${target.name}`, {
    hint: 'Run `mcp-descope-proxy login`; in CI, set MCP_DESCOPE_CLIENT_ID and MCP_DESCOPE_CLIENT_SECRET, or MCP_DESCOPE_TOKEN.',
  })
}
