import { bindingOf } from '../auth/sign-in-target.js'
import { bindingKey, type TokenRecord } from '../auth/token-store.js'
import { ProxyError } from '../util/errors.js'
import { createBudget } from './budget.js'
import type { SignInDeps } from './login.js'
import { createPendingStore } from './pending.js'
import { createStateHolder } from './state.js'
import { detectSurroundings } from './surroundings.js'

/**
 * Finishes the sign-in that waits, in this process or another one, with the URL that the browser
 * ended at. Whoever waits finds the tokens in the store.
 *
 * @throws {ProxyError} `USAGE` when nothing waits or the URL belongs to something else, and what a
 *   sign-in throws.
 */
export async function finishPasted(deps: SignInDeps, text: string): Promise<TokenRecord> {
  const { clock } = deps.runtime
  const key = bindingKey(bindingOf(deps.target))
  const pending = createPendingStore(deps.folder, clock.now)
  const waiting = await pending.load(key)
  if (waiting?.kind !== 'browser') {
    throw new ProxyError('USAGE', `No sign-in to ${deps.target.name} waits for a URL`, {
      hint: 'Run `mcp-descope-proxy login` first, and paste the URL while it waits.',
    })
  }
  const { parsePasted } = await import('./paste.js')
  const response = parsePasted(text, waiting)
  const { complete } = await import('./browser-flow.js')
  const flow = {
    ...deps,
    key,
    pending,
    budget: createBudget(deps.folder, key, clock.now),
    holder: createStateHolder(),
    surroundings: detectSurroundings(deps.runtime),
    asked: true,
    signal: new AbortController().signal,
  }
  return await complete(flow, waiting, response)
}
