import { join } from 'node:path'
import { isAskedFor, stepUpOf } from '../auth/oauth/authorization.js'
import { deviceNotOffered } from '../auth/oauth/device.js'
import { discoverGrantPlan, type GrantPlan } from '../auth/oauth/discover.js'
import { isUnknownClient, withRetries } from '../auth/oauth/failure.js'
import type { BearerChallenge } from '../auth/oauth/parse-challenge.js'
import { chooseScope, splitScopes } from '../auth/oauth/scopes.js'
import { requiresStepUp } from '../auth/tokens/token-source.js'
import { bindingOf, type TokenRecord } from '../auth/tokens/token-store.js'
import { sleep } from '../util/async.js'
import { acquireLock } from '../util/lock.js'
import { openBrowser } from './browser.js'
import { prepareBrowser, resumeBrowser, runBrowser } from './browser-flow.js'
import { prepareDevice, runDevice } from './device-flow.js'
import {
  type EnsureRequest,
  type Flow,
  type FlowPlan,
  isStepUp,
  scopesNotGranted,
  showWaiting,
  stepUpInVain,
  tookTooLong,
  wasInterrupted,
} from './flow.js'
import { addressOf } from './options.js'
import type { PendingSignIn } from './pending-sign-in.js'

/** How often a step-up is requested within 10 minutes: it lasts a few minutes at Descope. */
const STEP_UPS = 3

/** How often a process that waits for another one's sign-in checks the store. */
const POLL_MS = 250

/**
 * Signs in while holding the sign-in lock of the target, or waits for the process that holds it. If that
 * process ends, one that waits continues its sign-in, which is stored on disk.
 *
 * @param stored The stored record, if there is one.
 * @param isGood Tells whether a record satisfies the request.
 */
export async function signInExclusively(
  flow: Flow,
  request: EnsureRequest,
  stored: TokenRecord | undefined,
  isGood: (record: TokenRecord | undefined) => boolean,
): Promise<TokenRecord> {
  const { runtime, store, signal, target, key, options } = flow
  const lockDeps = { ...runtime, folder: join(flow.folder, 'locks') }
  const deadline = runtime.clock.now() + options.timeoutMs
  const isAnswer = (record: TokenRecord | undefined) =>
    isGood(record) && (!request.force || record?.accessToken !== stored?.accessToken)
  let opened = false
  let shown: string | undefined
  for (;;) {
    const lease = await acquireLock(lockDeps, `sign-in-${key}`, { waitMs: 0, signal })
    if (lease !== undefined) {
      try {
        const found = await store.load(bindingOf(target))
        return isAnswer(found) && found ? found : await signIn(flow, request, stored)
      } finally {
        await lease.release()
      }
    }
    const found = await store.load(bindingOf(target))
    if (isAnswer(found) && found) return found
    const pending = await flow.pending.load(key)
    if (pending !== undefined && pending.url !== shown) {
      shown = pending.url
      showWaiting(flow, pending, true)
    }
    if (pending?.kind === 'browser' && flow.requested && !opened) {
      opened = true
      await openAgain(flow, pending)
    }
    if (signal.aborted) throw wasInterrupted()
    if (runtime.clock.now() >= deadline) throw tookTooLong()
    await sleep(runtime.clock, POLL_MS, signal)
  }
}

async function signIn(
  flow: Flow,
  request: EnsureRequest,
  stored: TokenRecord | undefined,
): Promise<TokenRecord> {
  const { challenge } = request
  const plan = () => planSignIn(flow, challenge, stored?.requestedScope)
  const left = await flow.pending.load(flow.key)
  if (left !== undefined && canResume(flow, request, left) && (await isStillThere(left, plan))) {
    if (left.kind === 'device') return await endOrForget(flow, () => runDevice(flow, left, plan))
    const resumed = await resumeBrowser(left)
    if (resumed !== undefined) return await endOrForget(flow, () => runBrowser(flow, resumed, true))
  }
  await takeStepUp(flow, request)
  // the last sign-in was never finished: perhaps the server no longer knows the client
  if (request.force && left?.client.source === 'dynamic') {
    await flow.clients.forget(left.server.issuer, left.client.id)
  }
  for (let attempt = 1; ; attempt++) {
    const planned = await plan()
    try {
      return await endOrForget(flow, async () => {
        if (planned.method !== 'device') {
          return runBrowser(flow, await prepareBrowser(flow, planned), false)
        }
        return runDevice(flow, await prepareDevice(flow, planned), plan)
      })
    } catch (error) {
      if (attempt > 1 || !isUnknownClient(error)) throw error
      const dead = await flow.clients.load(planned.server.issuer)
      if (dead === undefined) throw error
      await flow.clients.forget(planned.server.issuer, dead.client.id)
    }
  }
}

/** Deletes a sign-in that failed; one that was interrupted stays on disk for the next process. */
async function endOrForget<T>(flow: Flow, run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    if (!flow.signal.aborted) await flow.pending.remove(flow.key)
    throw error
  }
}

/** Tells whether a pending sign-in requests everything needed now, by the requested method. */
function canResume(
  { options, target }: Flow,
  request: EnsureRequest,
  left: PendingSignIn,
): boolean {
  const { method, callbackPort, callbackHost } = options
  if (request.force) return false
  const { grant } = target
  if (grant.kind === 'server' && grant.omitResource && left.resource !== undefined) return false
  if (method !== 'auto' && method !== (left.kind === 'device' ? 'device' : left.method))
    return false
  if (left.kind === 'browser') {
    const { host, port } = addressOf(left.redirectUri)
    if (host !== callbackHost || port !== (callbackPort ?? port)) return false
  }
  const stepUp = stepUpOf(request.challenge)
  if (stepUp !== undefined && left.kind === 'browser' && !isAskedFor(stepUp, left.url)) return false
  const requested = new Set(splitScopes(left.scope))
  const needed = isStepUp(request) ? splitScopes(request.challenge?.scope) : []
  return [...needed, ...splitScopes(target.scope)].every((scope) => requested.has(scope))
}

/** Tells whether the target still names the same authorization server and resource, and binds tokens alike. */
async function isStillThere(
  { server, resource, proof }: PendingSignIn,
  plan: () => Promise<Pick<FlowPlan, 'server' | 'resource' | 'proof'>>,
): Promise<boolean> {
  const now = await plan().catch(() => undefined)
  if (now === undefined) return true // the target does not answer, so nothing else is known
  if (now.server.issuer !== server.issuer || now.resource !== resource) return false
  return now.proof === proof
}

/** @throws {ProxyError} `CREDENTIAL_REFUSED` when these scopes were requested a short time ago. */
async function takeStepUp({ tabQuota, target, requested }: Flow, request: EnsureRequest) {
  if (!isStepUp(request) || requested) return
  const scopes = splitScopes(request.challenge?.scope)
  if (requiresStepUp(request.challenge)) {
    if (!(await tabQuota.takeStepUp(['', ...scopes], STEP_UPS))) throw stepUpInVain(target.name)
    return
  }
  if (!(await tabQuota.takeStepUp(scopes))) throw scopesNotGranted(target.name, scopes)
}

/** Opens the page of another process's sign-in again, since its tab may have been closed. */
async function openAgain({ options, environment, runtime, holder }: Flow, { url }: PendingSignIn) {
  if (!options.openBrowser || !environment.hasBrowser) return
  const started = await openBrowser(runtime, url, environment.isWsl)
  holder.update({ tab: started ? 'opened' : 'failed' })
}

const ENABLE_DEVICE =
  'To sign in with a code instead, switch on Settings > Authentication Methods > Device Authentication in the Descope console.'

/**
 * Finds out where to sign in and for what, and chooses the method.
 *
 * @param previousScope What was requested last time; a step-up requests that and more.
 * @throws {RetryableError} when a server does not answer now.
 * @throws {ProxyError} `DISCOVERY_INVALID`, or `SIGN_IN_FAILED` when the requested method is not offered.
 */
async function planSignIn(
  flow: Flow,
  challenge: BearerChallenge | undefined,
  previousScope: string | undefined,
): Promise<FlowPlan> {
  const { runtime, target } = flow
  const plan = await withRetries(runtime, () => discoverGrantPlan(runtime, target.grant, challenge))
  const scope = chooseScope({
    configured: target.scope,
    challenged: challenge?.scope,
    resource: plan.resourceScopes,
    server: plan.server.scopesSupported,
    previous: flow.isStepUp ? (previousScope ?? target.scope ?? '') : undefined,
  })
  return { ...plan, scope, stepUp: stepUpOf(challenge), ...chooseMethod(flow, plan) }
}

/**
 * Chooses between the browser of this machine, a code, and a URL to paste back. A code needs a
 * server that offers it.
 */
export function chooseMethod(
  { options, environment }: Pick<Flow, 'options' | 'environment'>,
  { server }: Pick<GrantPlan, 'server'>,
): Pick<FlowPlan, 'method' | 'note'> {
  const offersDevice = server.deviceAuthorizationEndpoint !== undefined
  if (options.method === 'device' && !offersDevice) throw deviceNotOffered(server.issuer)
  if (options.method !== 'auto') return { method: options.method, note: undefined }
  const { hasBrowser, why } = environment
  if (hasBrowser) return { method: 'browser', note: undefined }
  if (offersDevice) return { method: 'device', note: `${why}, so you sign in with a code.` }
  return {
    method: 'paste',
    note: `${why}, so open the URL in a browser elsewhere, sign in, and copy the URL at which the browser ends. ${ENABLE_DEVICE}`,
  }
}
