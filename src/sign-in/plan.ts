import { deviceNotOffered } from '../auth/oauth/device.js'
import { discoverGrantPlan, type GrantPlan } from '../auth/oauth/discover.js'
import { withRetries } from '../auth/oauth/failure.js'
import type { BearerChallenge } from '../auth/oauth/parse-challenge.js'
import { chooseScope } from '../auth/oauth/scopes.js'
import { INSUFFICIENT_SCOPE } from '../auth/tokens/token-source.js'
import type { Flow, FlowPlan } from './flow.js'

const ENABLE_DEVICE =
  'To sign in with a code instead, switch on Settings > Authentication Methods > Device Authentication in the Descope console.'

/**
 * Finds out where and for what to sign in, and chooses the way.
 *
 * @param previousScope What was asked for last time; a step-up asks for that and more.
 * @throws {RetryableError} when somebody cannot be asked now.
 * @throws {ProxyError} `DISCOVERY_INVALID`, or `SIGN_IN_FAILED` when the wished way is not offered.
 */
export async function planSignIn(
  flow: Flow,
  challenge: BearerChallenge | undefined,
  previousScope: string | undefined,
): Promise<FlowPlan> {
  const { runtime, target } = flow
  const plan = await withRetries(runtime, () => discoverGrantPlan(runtime, target.grant, challenge))
  const isStepUp = challenge?.error === INSUFFICIENT_SCOPE
  const scope = chooseScope({
    configured: target.scope,
    challenged: challenge?.scope,
    resource: plan.resourceScopes,
    server: plan.server.scopesSupported,
    previous: isStepUp ? (previousScope ?? target.scope ?? '') : undefined,
  })
  return { ...plan, scope, ...chooseMethod(flow, plan) }
}

/**
 * Chooses between the browser of this machine, a code, and a URL to paste back. A code needs a
 * server that offers it.
 */
export function chooseMethod(
  { options, surroundings }: Pick<Flow, 'options' | 'surroundings'>,
  { server }: Pick<GrantPlan, 'server'>,
): Pick<FlowPlan, 'method' | 'note'> {
  const offersDevice = server.deviceAuthorizationEndpoint !== undefined
  if (options.method === 'device' && !offersDevice) throw deviceNotOffered(server.issuer)
  if (options.method !== 'auto') return { method: options.method, note: undefined }
  const { hasBrowser, why } = surroundings
  if (hasBrowser) return { method: 'browser', note: undefined }
  if (offersDevice) {
    return { method: 'device', note: `${why}, so a code is used instead of a browser.` }
  }
  return {
    method: 'paste',
    note: `${why}, so open the URL elsewhere and bring back the URL where the browser ends. ${ENABLE_DEVICE}`,
  }
}
