import {
  authorizationUrl,
  checkResponseIssuer,
  createAuthorizationSecrets,
  readResponseError,
} from '../auth/oauth/authorization.js'
import { type ConfiguredClient, storable, withConfiguredSecret } from '../auth/oauth/client.js'
import { OAuthRefusedError, withRetries } from '../auth/oauth/failure.js'
import { chooseClient, configuredClient } from '../auth/oauth/registration.js'
import { exchangeCode } from '../auth/oauth/token-endpoint.js'
import { bindingOf, type TokenRecord } from '../auth/tokens/token-store.js'
import { messageOf, ProxyError } from '../util/errors.js'
import { openBrowser } from './browser.js'
import { resultPage } from './callback-page.js'
import { type CallbackListener, listenForCallback } from './callback-server.js'
import {
  type FinishingFlow,
  type Flow,
  type FlowPlan,
  keepGrant,
  showWaiting,
  tookTooLong,
  wasInterrupted,
} from './flow.js'
import { addressOf, redirectUrisOf } from './options.js'
import { parsePasted } from './pasted-callback.js'
import type { PendingBrowser, PendingSignIn } from './pending-sign-in.js'

/** A browser sign-in whose port is bound. */
export interface BrowserSignIn {
  readonly pending: PendingBrowser
  readonly listener: CallbackListener
}

/**
 * Prepares a sign-in in the browser. The order matters: first the port is bound, then a client is
 * registered with it, then the secrets are stored, and only then is the URL shown.
 *
 * @throws {ProxyError} `LISTEN_FAILED`, `SIGN_IN_FAILED`, `ISSUER_UNREACHABLE`
 */
export async function prepareBrowser(flow: Flow, plan: FlowPlan): Promise<BrowserSignIn> {
  const { runtime, target, clients, options } = flow
  const { server, resource } = plan
  const candidateUris = redirectUrisOf(options)
  const ports = candidateUris.map((uri) => addressOf(uri).port)
  // a client that is registered now can have any port; the redirect URIs of others are fixed
  const canHaveAnyPort =
    options.callbackPort === undefined && configuredClient(server, target.client) === undefined
  // ports of other pending sign-ins come last: their open tabs need them when a bridge is restarted
  const taken = await flow.pending.portsOfOthers(flow.key)
  const ordered = [...ports].sort((a, b) => Number(taken.has(a)) - Number(taken.has(b)))
  const listener = await listenForCallback(
    canHaveAnyPort ? [...ordered, 0] : ordered,
    options.callbackHost,
    async (port) => (await import('./port-owner.js')).portHolder(flow, port),
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
    const request = {
      ...secrets,
      server,
      clientId: client.id,
      redirectUri,
      scope,
      resource,
      stepUp: plan.stepUp,
    }
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
      ...(plan.proof !== undefined && { proof: plan.proof }),
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
 * Continues a sign-in of a process that ended, with the same port, `state` and verifier, so that the
 * open tab still works.
 *
 * @returns `undefined` when the port is taken.
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
    if (!resumed || flow.requested || pending.tab !== undefined) await openTab(flow, pending)
    return await end.promise
  } finally {
    stopPastes?.()
    if (flow.signal.aborted) listener.abort()
    else await listener.close()
  }
}

/** Opens a tab if allowed, and stores the outcome for a process that continues this sign-in. */
async function openTab(flow: Flow, pending: PendingBrowser): Promise<void> {
  const { holder, options, runtime, environment, requested, isStepUp, tabQuota } = flow
  const keep = async (tab: PendingBrowser['tab']) => {
    if (tab !== pending.tab) await flow.pending.save({ ...pending, tab })
  }
  if (pending.method === 'paste' || !options.openBrowser || !environment.hasBrowser) {
    holder.update({ tab: 'off' })
    return await keep('off')
  }
  if (!requested && !isStepUp && !(await tabQuota.takeTab())) {
    holder.update({ tab: 'withheld' })
    return await keep('withheld')
  }
  await keep(undefined)
  holder.update({ tab: 'opening' })
  const started = await openBrowser(runtime, pending.url, environment.isWsl)
  holder.update({ tab: started ? 'opened' : 'failed' })
  if (!started) await flow.pending.save({ ...pending, tab: 'failed' })
}

/**
 * Exchanges an authorization response for tokens and stores them. The caller has checked `state`.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED`, `ISSUER_UNREACHABLE`
 */
export async function complete(
  flow: FinishingFlow,
  pending: PendingBrowser,
  response: URLSearchParams,
  configured: ConfiguredClient,
): Promise<TokenRecord> {
  const { server, resource, redirectUri, state, verifier, proof } = pending
  checkResponseIssuer(server, response)
  const error = readResponseError(response)
  if (error !== undefined) {
    const said = error.description === undefined ? '' : `: ${JSON.stringify(error.description)}`
    const what = `The sign-in ended with ${JSON.stringify(error.code)}${said}`
    throw new ProxyError('SIGN_IN_FAILED', what)
  }
  const client = withConfiguredSecret(pending.client, configured)
  const request = { server, client, resource, response, state, redirectUri, verifier, proof }
  // tried again only where the server said that it did nothing
  const grant = await withRetries(
    flow.runtime,
    () => exchangeCode(flow.runtime, request),
    (thrown) => thrown instanceof OAuthRefusedError && thrown.refusal.kind === 'transient',
  )
  return await keepGrant(flow, pending, grant)
}

/** How often to look whether another process (`login --paste`) finished this sign-in. */
const POLL_MS = 500

/** After this time without an answer, the browser may show an error page of the server. */
const HINT_MS = 60_000

/** The end of a sign-in, which several things can cause. */
interface End {
  readonly promise: Promise<TokenRecord>
  /** Ends the sign-in with `outcome`; resolves also when that fails. */
  settle(outcome: Promise<TokenRecord>): Promise<TokenRecord | ProxyError>
}

/** Watches for the other ends of a sign-in: tokens that another process stored, a timeout, an abort. */
function waitForEnd(flow: Flow, pending: PendingSignIn): End {
  const { runtime, store, signal, target, holder } = flow
  const { clock } = runtime
  const { promise, resolve, reject } = deferred<TokenRecord>()
  let cancelLook = () => {}
  const before = store.load(bindingOf(target)).catch(() => undefined)
  const look = () => {
    cancelLook = clock.after(POLL_MS, () => {
      const found = Promise.all([before, store.load(bindingOf(target))])
      found.then(([old, now]) => {
        const isNew = now !== undefined && now.accessToken !== old?.accessToken
        if (isNew && now.receivedAt * 1_000 >= pending.since - 1_000) resolve(now)
        else look()
      }, look)
    })
  }
  look()
  const cancelEnd = clock.after(pending.expiresAt - clock.now(), () => reject(tookTooLong()))
  const cancelHint = clock.after(HINT_MS, () => holder.update({ note: hintFor(pending) }))
  const onAbort = () => reject(wasInterrupted())
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  const ended = promise.finally(() => {
    cancelLook()
    cancelEnd()
    cancelHint()
    signal.removeEventListener('abort', onAbort)
  })
  ended.catch(() => {}) // a rejection before anybody awaits it must not count as unhandled
  return {
    promise: ended,
    async settle(outcome) {
      try {
        const record = await outcome
        resolve(record)
        return record
      } catch (thrown) {
        const what = `The sign-in failed: ${messageOf(thrown)}`
        const own = () => new ProxyError('SIGN_IN_FAILED', what, { cause: thrown })
        const error = thrown instanceof ProxyError ? thrown : own()
        reject(error)
        return error
      }
    },
  }
}

function hintFor({ client, kind }: PendingSignIn): string | undefined {
  if (kind === 'device') return undefined
  const force = client.source === 'dynamic' ? ' --force' : ''
  return `If the browser shows an error such as "unknown client", run \`mcp-descope-proxy login${force}\`.`
}

function deferred<T>() {
  let resolve: (value: T) => void = () => {}
  let reject: (error: ProxyError) => void = () => {}
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}
