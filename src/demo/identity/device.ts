import { randomInt } from 'node:crypto'
import { authenticateClient } from './clients.js'
import { bindGrant, tokenReply } from './grants.js'
import { bodyParams, checkedParams, type IdentityCall, type IdentityReply, json } from './http.js'
import { consentPage, errorPage, page } from './pages.js'
import type { Client, DeviceRequest } from './records.js'
import { refusal } from './refusals.js'
import { requestedResources, requestedScopes } from './scopes.js'
import { newSecret, remember, type State } from './state.js'
import { userOf } from './tokens.js'

/** RFC 8628 §6.1: without vowels, to avoid words. */
const LETTERS = 'BCDFGHJKLMNPQRSTVWXZ'

/** What the button for one of several users sends, before the user's email. */
const APPROVE_AS = 'approve:'

/** A poll may come this much early (milliseconds) before it counts as too fast. */
const TOLERANCE_MS = 200

/**
 * Starts a device sign-in.
 *
 * @throws {EmulatorRefusal} `device_off`, `unauthorized_client`, and what client authentication, scopes and resources throw.
 * @see [RFC 8628 §3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)
 */
export async function startDevice(state: State, call: IdentityCall): Promise<IdentityReply> {
  const { device, deviceTtl, deviceInterval } = state.options
  if (!device) throw refusal('device_off')
  const params = bodyParams(call)
  const client = await authenticateClient(state, call, params)
  if (!client.device) {
    throw refusal('unauthorized_client', 'Device flow is disabled for this client')
  }
  if (!client.policy) throw refusal('not_associated')
  const grant = {
    clientId: client.clientId,
    surface: 'agentic' as const,
    scopes: requestedScopes(state, 'project', params.get('scope')),
    resources: requestedResources(state, params.getAll('resource')),
    tenant: undefined,
    jkt: params.get('dpop_jkt') ?? undefined,
    revoked: false,
  }
  const deviceCode = newSecret(state)
  const userCode = newUserCode()
  state.devices.set(deviceCode, {
    grant,
    userCode,
    expiresAt: state.clock.now() + deviceTtl * 1000,
    outcome: 'pending',
    interval: deviceInterval,
    polledAt: undefined,
  })
  state.counters.deviceRequests++
  return json(200, {
    device_code: deviceCode,
    user_code: userCode,
    verification_uri: `${state.baseUrl}/device`,
    verification_uri_complete: `${state.baseUrl}/device?user_code=${userCode}`,
    expires_in: deviceTtl,
    interval: deviceInterval,
  })
}

/**
 * Answers a poll of the token endpoint. These errors have OAuth's shape whatever the error style.
 *
 * @throws {EmulatorRefusal} `invalid_grant` for an unknown code or another client's.
 * @see [RFC 8628 §3.5](https://www.rfc-editor.org/rfc/rfc8628#section-3.5)
 */
export function pollDevice(
  state: State,
  client: Client,
  params: URLSearchParams,
  jkt?: string,
): IdentityReply | Promise<IdentityReply> {
  state.counters.devicePolls++
  remember(state, params.get('device_code'))
  const request = state.devices.get(params.get('device_code') ?? '')
  if (request === undefined || request.grant.clientId !== client.clientId) {
    throw refusal('invalid_grant', 'Unknown device code')
  }
  const error = pollError(request, state.clock.now())
  if (error !== undefined) return json(state.options.devicePollStatus, { error })
  bindGrant(client, request.grant, jkt)
  request.outcome = 'used'
  return tokenReply(state, request.grant, { access: request.grant, refresh: true, jkt })
}

function pollError(request: DeviceRequest, now: number): string | undefined {
  if (now >= request.expiresAt || request.outcome === 'used') return 'expired_token'
  const { polledAt } = request
  request.polledAt = now
  if (polledAt !== undefined && now - polledAt < request.interval * 1000 - TOLERANCE_MS) {
    request.interval += 5
    return 'slow_down'
  }
  if (request.outcome === 'denied') return 'access_denied'
  return request.outcome === 'pending' ? 'authorization_pending' : undefined
}

/** Approves or denies the request with a user code; returns whether there was one. */
export function decideDevice(
  state: State,
  userCode: string,
  outcome: 'approved' | 'denied',
): boolean {
  const request = findDevice(state, userCode)
  if (request === undefined) return false
  request.outcome = outcome
  return true
}

/**
 * Serves the page where a user enters the code. With approval `auto` or `deny`, opening it with a
 * code decides at once.
 */
export function devicePage(state: State, call: IdentityCall): IdentityReply {
  const params = call.method === 'POST' ? bodyParams(call) : checkedParams(call.query)
  const userCode = params.get('user_code')
  if (userCode === null) {
    return page(
      200,
      'Connect a device',
      `<form><label>Code <input name="user_code" placeholder="XXX-XXX" autofocus></label>
<button>Continue</button></form>`,
    )
  }
  const request = findDevice(state, userCode)
  if (request === undefined) return errorPage(404, 'expired_token', 'This code is not valid.')
  const { approval, user, users } = state.options
  const decision = call.method === 'POST' ? (params.get('decision') ?? undefined) : undefined
  if (approval === 'page' && decision === undefined) {
    const { clientId, scopes } = request.grant
    const emails = [...new Set([user, ...users].map(({ email }) => email))]
    return consentPage(`the device of ${clientId}`, emails, scopes, { user_code: userCode })
  }
  const chosen = decision?.startsWith(APPROVE_AS) ? decision.slice(APPROVE_AS.length) : undefined
  const isApproved = chosen !== undefined || decision === 'approve'
  const approved = approval === 'page' ? isApproved : approval === 'auto'
  if (approved && chosen !== undefined) {
    request.grant = { ...request.grant, userId: userOf(state, chosen).id }
  }
  request.outcome = approved ? 'approved' : 'denied'
  return page(
    200,
    approved ? 'The device is connected' : 'The device was refused',
    '<p>You can close this window.</p>',
  )
}

function findDevice(state: State, userCode: string): DeviceRequest | undefined {
  const wanted = userCode.trim().toUpperCase()
  for (const request of state.devices.values()) {
    const open = request.outcome === 'pending' && state.clock.now() < request.expiresAt
    if (open && request.userCode === wanted) return request
  }
  return undefined
}

function newUserCode(): string {
  const letter = () => LETTERS[randomInt(LETTERS.length)]
  return `${letter()}${letter()}${letter()}-${letter()}${letter()}${letter()}`
}
