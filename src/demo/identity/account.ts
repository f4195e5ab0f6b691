import { authenticateClient, isPublic } from './clients.js'
import { isMachine, userIdOf } from './connections.js'
import { proofKey } from './dpop.js'
import { authorization, bodyParams, type IdentityCall, type IdentityReply, json } from './http.js'
import { refusal } from './refusals.js'
import { splitScope } from './scopes.js'
import { remember, type State } from './state.js'
import { userOf, verifyOwn } from './tokens.js'

/**
 * Revokes the grant behind a refresh token; an access token is accepted and lives on until it
 * expires, since resource servers do not check. A public client must send an access token of its own as
 * Bearer, and one that is bound to a key with its proof, which is a choice of the emulator.
 *
 * @throws {EmulatorRefusal} `invalid_token`, and what client authentication throws.
 * @see [RFC 7009 §2](https://www.rfc-editor.org/rfc/rfc7009#section-2)
 */
export async function revoke(state: State, call: IdentityCall): Promise<IdentityReply> {
  const params = bodyParams(call)
  const client = await authenticateClient(state, call, params)
  if (isPublic(client)) {
    const claims = await verifyOwn(state, await presentedToken(state, call))
    if (claims['azp'] !== client.clientId) throw refusal('invalid_token')
  }
  const value = params.get('token')
  if (value === null) throw refusal('invalid_request', '"token" is missing')
  remember(state, value)
  const known = state.refreshTokens.get(value)
  if (known !== undefined) {
    if (known.grant.clientId !== client.clientId) throw refusal('invalid_token')
    known.grant.revoked = true
  }
  state.counters.revocations++
  return json(200, {})
}

/** @throws {EmulatorRefusal} `invalid_token` when a bound one comes without a proof, or with another's. */
async function presentedToken(state: State, call: IdentityCall): Promise<string | undefined> {
  const bound = authorization(call, 'dpop')
  const token = bound ?? authorization(call, 'bearer')
  const { cnf } = await verifyOwn(state, token)
  const jkt = bound === undefined ? undefined : await proofKey(state, call, bound)
  if ((cnf as { jkt?: string } | undefined)?.jkt !== jkt) throw refusal('invalid_token')
  return token
}

/**
 * Describes the user of a token that came from the project's own endpoints. One of the MCP
 * server's answers 404, as Descope does.
 *
 * @throws {EmulatorRefusal} `invalid_token` or `userinfo_gone`
 */
export async function userinfo(state: State, call: IdentityCall): Promise<IdentityReply> {
  const value = authorization(call, 'bearer')
  const claims = await verifyOwn(state, value)
  if (!state.projectTokens.has(value ?? '')) throw refusal('userinfo_gone')
  const { email, name } = userOf(state, userIdOf(claims))
  return json(200, { sub: claims['sub'], name, email, email_verified: true })
}

/** The scope that opens the project's own `userinfo` to tokens of the MCP server. */
const CUSTOM_CLAIMS_SCOPE = 'descope.custom_claims'

/**
 * Describes the user of any access token with the scope `descope.custom_claims`.
 *
 * The status for a token without the scope is a choice of the emulator, and so is that a client's
 * own token has no user.
 *
 * @throws {EmulatorRefusal} `invalid_token` or `insufficient_scope`
 */
export async function customUserinfo(state: State, call: IdentityCall): Promise<IdentityReply> {
  const claims = await verifyOwn(state, authorization(call, 'bearer'))
  if (!splitScope(String(claims['scope'] ?? '')).includes(CUSTOM_CLAIMS_SCOPE)) {
    throw refusal('insufficient_scope', `The token lacks the scope "${CUSTOM_CLAIMS_SCOPE}"`)
  }
  if (isMachine(claims)) throw refusal('invalid_token')
  const { email, name, claims: custom } = userOf(state, userIdOf(claims))
  return json(200, { ...custom, sub: claims['sub'], name, email, email_verified: true })
}

/** Ends every consent that was given: each refresh then answers 404 `E063302`. */
export function revokeConsents(state: State): void {
  for (const holder of [...state.codes.values(), ...state.refreshTokens.values()]) {
    holder.grant.revoked = true
  }
}
