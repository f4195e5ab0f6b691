import type { ClientStore } from '../auth/oauth/registration.js'
import {
  bindingOf,
  type SignInTarget,
  storeKey,
  type TokenRecord,
  type TokenStore,
} from '../auth/tokens/token-store.js'
import { ProxyError } from '../util/errors.js'
import { createTabQuota } from './browser.js'
import type { SignInRuntime } from './flow.js'
import { parsePasted, pastedState } from './pasted-callback.js'
import { createPendingStore, type PendingBrowser } from './pending-sign-in.js'

export interface FinishDeps {
  runtime: Pick<SignInRuntime, 'clock' | 'fetch'>
  store: TokenStore
  clients: ClientStore
  /** The user's data folder. */
  folder: string
  /** The target, if the user named it. */
  named: SignInTarget | undefined
  /** Of the client that is configured. */
  secret: string | undefined
}

/**
 * Finishes a pending sign-in, of this process or another one, with the URL at which the browser ended.
 * The `state` in the URL identifies the sign-in. A process that waits finds the tokens in the store.
 *
 * @throws {ProxyError} `USAGE` when no sign-in is pending or the URL belongs to none of them, and the
 *   errors of a sign-in.
 */
export async function finishPasted(deps: FinishDeps, text: string): Promise<TokenRecord> {
  const { runtime, store, folder, named, secret } = deps
  const pending = createPendingStore(folder, runtime.clock.now)
  const all = (await pending.list()).filter((one) => one.kind === 'browser')
  const key = named && storeKey(bindingOf(named))
  const waiting = choose(
    all.filter((one) => key === undefined || one.key === key),
    text,
    named?.name,
  )
  const response = parsePasted(text, waiting)
  const { complete } = await import('./browser-flow.js')
  const tabQuota = createTabQuota(folder, waiting.key, runtime.clock.now)
  const flow = { runtime, store, pending, tabQuota, requested: true, target: named }
  return await complete(flow, waiting, response, { secret })
}

/** Finds the sign-in. A code without URL has no `state`, so it is accepted only when one sign-in is pending. */
function choose(
  waiting: readonly PendingBrowser[],
  text: string,
  name: string | undefined,
): PendingBrowser {
  const state = pastedState(text)
  const found = waiting.find((one) => state !== undefined && one.state === state)
  const [only, second] = waiting
  if (found !== undefined) return found
  if (only !== undefined && second === undefined) return only
  if (only !== undefined && state === undefined) {
    throw new ProxyError('USAGE', 'Several sign-ins are pending, and this code fits any of them', {
      hint: 'Paste the whole URL from the address bar, in quotes; it ends in `/callback?code=…`.',
    })
  }
  const what = name === undefined ? 'No sign-in' : `No sign-in to ${name}`
  throw new ProxyError('USAGE', `${what} waits for ${only === undefined ? 'a' : 'this'} URL`, {
    hint: 'Run `mcp-descope-proxy login <url>` first, and paste the URL while it waits. Where the program that waits has MCP_DESCOPE_HOME set, set it here to the same folder.',
  })
}
