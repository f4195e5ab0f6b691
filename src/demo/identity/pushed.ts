import { checkAuthorization } from './authorize.js'
import { authenticateClient } from './clients.js'
import { bodyParams, type IdentityCall, type IdentityReply, json } from './http.js'
import { refusal } from './refusals.js'
import { newSecret, type State } from './state.js'

/** Life of a pushed request, seconds: a choice of the emulator. */
const PUSHED_TTL = 60

/**
 * Keeps an authorization request, and gives the `request_uri` that stands for it, once.
 *
 * @throws {EmulatorRefusal} what client authentication and the request itself are refused with.
 * @see [RFC 9126 §2](https://www.rfc-editor.org/rfc/rfc9126#section-2)
 */
export async function pushRequest(state: State, call: IdentityCall): Promise<IdentityReply> {
  const params = bodyParams(call)
  const client = await authenticateClient(state, call, params)
  if (params.has('request_uri')) throw refusal('invalid_request', '"request_uri" is not allowed')
  for (const name of ['client_secret', 'client_assertion', 'client_assertion_type']) {
    params.delete(name)
  }
  params.set('client_id', client.clientId)
  checkAuthorization(state, client, params)
  const requestUri = `urn:ietf:params:oauth:request_uri:${newSecret(state)}`
  state.pushed.set(requestUri, {
    clientId: client.clientId,
    params,
    expiresAt: state.clock.now() + PUSHED_TTL * 1000,
  })
  state.counters.pushedRequests++
  return json(201, { request_uri: requestUri, expires_in: PUSHED_TTL })
}
