import { join } from 'node:path'
import {
  authorizationUrl,
  checkResponseIssuer,
  createAuthorizationSecrets,
  readResponseError,
} from '../auth/oauth/authorization.js'
import type { ConfiguredClient } from '../auth/oauth/client.js'
import { storable, withConfiguredSecret } from '../auth/oauth/refresh.js'
import { chooseClient, configuredClient } from '../auth/oauth/registration.js'
import { exchangeCode } from '../auth/oauth/token-endpoint.js'
import { bindingOf } from '../auth/tokens/sign-in-target.js'
import type { TokenRecord } from '../auth/tokens/token-store.js'
import { ProxyError } from '../util/errors.js'
import { lockHolder } from '../util/lock.js'
import { openBrowser } from './browser.js'
import { resultPage } from './callback-page.js'
import { type CallbackListener, listenForCallback } from './callback-server.js'
import {
  exchangeWithRetries,
  type FinishingFlow,
  type Flow,
  type FlowPlan,
  keepGrant,
  showWaiting,
} from './flow.js'
import { parsePasted } from './pasted-callback.js'
import type { PendingBrowser } from './pending-sign-in.js'
import { addressOf, redirectUrisOf } from './ports.js'
import { waitForEnd } from './wait-for-callback.js'

/** A browser sign-in whose port is bound. */
export interface BrowserSignIn {
  readonly pending: PendingBrowser
  readonly listener: CallbackListener
}

/**
 * Prepares a sign-in in the browser, in the order that keeps every step good: the port is bound,
 * then the client is registered with it, then the secrets are on disk, and only then anybody sees
 * the URL.
 *
 * @throws {ProxyError} `LISTEN_FAILED`, `SIGN_IN_FAILED`, `ISSUER_UNREACHABLE`
 */
export async function prepareBrowser(flow: Flow, plan: FlowPlan): Promise<BrowserSignIn> {
  const { runtime, target, clients, options } = flow
  const { server, resource } = plan
  const candidateUris = redirectUrisOf(options)
  const ports = candidateUris.map((uri) => addressOf(uri).port)
  // Only a client that is registered now can have any port; others have theirs from before.
  const canHaveAnyPort =
    options.callbackPort === undefined && configuredClient(server, target.client) === undefined
  // A tab that is open for another target has to find its port again when its bridge is restarted.
  const taken = await flow.pending.portsOfOthers(flow.key)
  const ordered = [...ports].sort((a, b) => Number(taken.has(a)) - Number(taken.has(b)))
  const listener = await listenForCallback(
    canHaveAnyPort ? [...ordered, 0] : ordered,
    options.callbackHost,
    (port) => portHolder(flow, port),
  )
  try {
    const now = runtime.clock.now()
    const { client, scope, note } = await chooseClient(runtime, {
      server,
      configured: target.client,
      clients,
      redirectUri: listener.redirectUri,
      candidateUris,
      scope: plan.scope,
      now: now / 1_000,
    })
    const secrets = createAuthorizationSecrets()
    const { redirectUri } = listener
    const request = { ...secrets, server, clientId: client.id, redirectUri, scope, resource }
    const pending: PendingBrowser = {
      kind: 'browser',
      method: plan.method === 'paste' ? 'paste' : 'browser',
      key: flow.key,
      binding: bindingOf(target),
      target: target.name,
      server,
      client: storable(client),
      resource,
      scope,
      note: note ?? plan.note,
      since: now,
      expiresAt: now + options.timeoutMs,
      url: authorizationUrl(request),
      redirectUri,
      tab: undefined,
      ...secrets,
    }
    await flow.pending.save(pending)
    return { pending, listener }
  } catch (error) {
    listener.abort()
    throw error
  }
}

/**
 * Takes up a sign-in that another process began and left: same port, same `state`, same verifier,
 * so that the tab that is open already ends well.
 *
 * @returns `undefined` when its port is taken by somebody else.
 */
export async function resumeBrowser(pending: PendingBrowser): Promise<BrowserSignIn | undefined> {
  try {
    const { host, port } = addressOf(pending.redirectUri)
    const listener = await listenForCallback([port], host)
    return { pending, listener }
  } catch {
    return undefined
  }
}

/** Shows the URL, opens the browser if that may be, and waits until somebody signed in. */
export async function runBrowser(
  flow: Flow,
  { pending, listener }: BrowserSignIn,
  resumed: boolean,
): Promise<TokenRecord> {
  const end = waitForEnd(flow, pending)
  const answer = (response: URLSearchParams) =>
    end.settle(complete(flow, pending, response, flow.target.client))
  listener.expect(pending.state, async (response) =>
    resultPage(flow, pending.server, await answer(response)),
  )
  const stopPastes = flow.options.onPaste?.((text) => {
    try {
      void answer(parsePasted(text, pending))
    } catch (error) {
      flow.holder.update({ note: error instanceof ProxyError ? error.message : undefined })
    }
  })
  try {
    showWaiting(flow, pending, resumed)
    if (!resumed || flow.asked || pending.tab !== undefined) await openTab(flow, pending)
    return await end.promise
  } finally {
    stopPastes?.()
    if (flow.signal.aborted) listener.abort()
    else await listener.close()
  }
}

/** What became of the tab is kept, so that a process that goes on with this does not point to none. */
async function openTab(flow: Flow, pending: PendingBrowser): Promise<void> {
  const { holder, options, runtime, surroundings, asked, isStepUp, budget } = flow
  const keep = async (tab: PendingBrowser['tab']) => {
    if (tab !== pending.tab) await flow.pending.save({ ...pending, tab })
  }
  if (pending.method === 'paste' || !options.openBrowser || !surroundings.hasBrowser) {
    holder.update({ tab: 'off' })
    return await keep('off')
  }
  if (!asked && !isStepUp && !(await budget.takeTab())) {
    holder.update({ tab: 'withheld' })
    return await keep('withheld')
  }
  await keep(undefined)
  holder.update({ tab: 'opening' })
  const started = await openBrowser(runtime, pending.url, surroundings.isWsl)
  holder.update({ tab: started ? 'opened' : 'failed' })
  if (!started) await flow.pending.save({ ...pending, tab: 'failed' })
}

/**
 * Turns an authorization response into kept tokens. `state` was checked by whoever received it.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED`, `ISSUER_UNREACHABLE`
 */
export async function complete(
  flow: FinishingFlow,
  pending: PendingBrowser,
  response: URLSearchParams,
  configured: ConfiguredClient,
): Promise<TokenRecord> {
  const { server, resource, redirectUri, state, verifier } = pending
  checkResponseIssuer(server, response)
  const error = readResponseError(response)
  if (error !== undefined) {
    const said = error.description === undefined ? '' : `: ${JSON.stringify(error.description)}`
    throw new ProxyError(
      'SIGN_IN_FAILED',
      `The sign-in ended with ${JSON.stringify(error.code)}${said}`,
    )
  }
  const client = withConfiguredSecret(pending.client, configured)
  const request = { server, client, resource, response, state, redirectUri, verifier }
  const grant = await exchangeWithRetries(flow, () => exchangeCode(flow.runtime, request))
  return await keepGrant(flow, pending, grant)
}

/**
 * Says which process holds a callback port: as the system tells, or as the sign-in that is on disk
 * tells, where it is one of ours. `undefined` when neither does.
 */
export async function portHolder(
  { runtime, pending, key, folder }: Pick<Flow, 'runtime' | 'pending' | 'key' | 'folder'>,
  port: number,
): Promise<string | undefined> {
  const { listeningProcess } = await import('./port-owner.js')
  const found = await listeningProcess(port)
  if (found !== undefined) return `process ${found.pid}, ${found.name}`
  const other = (await pending.portsOfOthers(key)).get(port)
  if (other === undefined) return undefined
  const pid = await lockHolder({ ...runtime, folder: join(folder, 'locks') }, `sign-in-${other}`)
  return pid === undefined ? undefined : `process ${pid}, which signs in to another target`
}
