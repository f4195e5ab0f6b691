import { storable, withConfiguredSecret } from '../auth/oauth/client.js'
import { requestDeviceCodes } from '../auth/oauth/device.js'
import { OAuthRefusedError, RetryableError } from '../auth/oauth/failure.js'
import { newProofKey } from '../auth/oauth/proof-keys.js'
import { chooseClient } from '../auth/oauth/registration.js'
import { deviceGrant, type Grant } from '../auth/oauth/token-endpoint.js'
import { bindingOf, type TokenRecord } from '../auth/tokens/token-store.js'
import { sleep } from '../util/async.js'
import { ProxyError } from '../util/errors.js'
import { type Flow, type FlowPlan, keepGrant, showWaiting, wasInterrupted } from './flow.js'
import { redirectUrisOf } from './options.js'
import type { PendingDevice } from './pending-sign-in.js'

/** Factor on the interval: clocks drift, and polling late is safe, while polling early is not. */
const MARGIN = 1.2

const MARGIN_AFTER_SLOW_DOWN = 1.4

const LONGEST_INTERVAL = 60

/** Gets a code for the user to enter on another device. */
export async function prepareDevice(flow: Flow, plan: FlowPlan): Promise<PendingDevice> {
  const { runtime, target, clients, key, options } = flow
  const { server, resource, note } = plan
  const candidateUris = redirectUrisOf(options)
  const { client, scope } = await chooseClient(runtime, {
    server,
    configured: target.client,
    clients,
    redirectUri: candidateUris[0] ?? '',
    candidateUris,
    scope: plan.scope,
    now: runtime.clock.now() / 1_000,
  })
  const { expiresIn, verificationUri, verificationUriComplete, ...codes } =
    await requestDeviceCodes(runtime, { server, client, resource, scope })
  const now = runtime.clock.now()
  const pending: PendingDevice = {
    kind: 'device',
    key,
    binding: bindingOf(target),
    target: target.name,
    ...{ server, client: storable(client), resource, scope, note, since: now },
    ...(plan.proof !== undefined && { proof: plan.proof }),
    expiresAt: now + expiresIn * 1_000,
    url: verificationUriComplete ?? verificationUri,
    ...codes,
  }
  await flow.pending.save(pending)
  return pending
}

/** Shows the code and polls until it was entered; a code that expires is replaced a few times. */
export async function runDevice(
  flow: Flow,
  first: PendingDevice,
  plan: () => Promise<FlowPlan>,
): Promise<TokenRecord> {
  let pending = first
  for (let renewals = 0; ; renewals++) {
    showWaiting(flow, pending, false)
    const grant = await poll(flow, pending)
    if (grant !== 'expired') return await keepGrant(flow, pending, grant)
    await flow.pending.remove(flow.key)
    if (renewals >= flow.options.deviceRenewals) {
      throw new ProxyError('SIGN_IN_FAILED', 'The code expired before it was entered', {
        hint: 'Run `mcp-descope-proxy login` for a new code.',
      })
    }
    pending = await prepareDevice(flow, await plan())
  }
}

/**
 * Polls the token endpoint, never faster than the server allows; failures of the network do not end it.
 *
 * @see [RFC 8628 §3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)
 */
async function poll(flow: Flow, pending: PendingDevice): Promise<Grant | 'expired'> {
  const { runtime, signal, target } = flow
  const { clock } = runtime
  const { server, resource, deviceCode, proof } = pending
  const proofKey = proof && (await newProofKey())
  const client = withConfiguredSecret(pending.client, target.client)
  let pace: Pace = { interval: pending.interval, margin: MARGIN }
  for (;;) {
    await sleep(clock, pace.interval * pace.margin * 1_000, signal)
    if (signal.aborted) throw wasInterrupted()
    if (clock.now() >= pending.expiresAt) return 'expired'
    try {
      return await deviceGrant(runtime, { server, client, resource, deviceCode, proof, proofKey })
    } catch (error) {
      const code = error instanceof OAuthRefusedError ? error.refusal.code : undefined
      if (code === 'expired_token') return 'expired'
      pace = nextPace(pace, error)
    }
  }
}

interface Pace {
  /** Seconds. */
  readonly interval: number
  readonly margin: number
}

/**
 * Decides how long to wait before the next poll. The interval only ever grows.
 *
 * @throws The error, when polling again would not help.
 */
export function nextPace(pace: Pace, error: unknown): Pace {
  const doubled = { ...pace, interval: Math.min(pace.interval * 2, LONGEST_INTERVAL) }
  if (error instanceof RetryableError) return doubled
  if (!(error instanceof OAuthRefusedError)) throw error
  const { code, kind } = error.refusal
  if (code === 'authorization_pending') return pace
  if (code === 'slow_down') return { interval: pace.interval + 5, margin: MARGIN_AFTER_SLOW_DOWN }
  if (kind === 'transient') return doubled
  if (code === 'access_denied') {
    throw new ProxyError('SIGN_IN_FAILED', 'The sign-in was declined', { cause: error })
  }
  throw error
}
