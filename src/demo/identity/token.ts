import { ownMember } from '../../util/json.js'
import { accessKeyToken } from './access-keys.js'
import { authenticateClient } from './clients.js'
import { pollDevice } from './device.js'
import { bodyParams, type Call, type Reply } from './http.js'
import { clientCredentials, exchangeToken } from './machine-grants.js'
import type { Client } from './records.js'
import { refusal } from './refusals.js'
import type { State } from './state.js'
import { redeemCode, refresh } from './user-grants.js'

type GrantHandler = (
  state: State,
  client: Client,
  params: URLSearchParams,
) => Reply | Promise<Reply>

const GRANTS: Readonly<Record<string, GrantHandler>> = {
  authorization_code: redeemCode,
  refresh_token: refresh,
  client_credentials: clientCredentials,
  'urn:ietf:params:oauth:grant-type:device_code': pollDevice,
  'urn:ietf:params:oauth:grant-type:token-exchange': exchangeToken,
}

/**
 * Answers a token request, whose body may be a form or JSON.
 *
 * @see [RFC 6749 §3.2](https://www.rfc-editor.org/rfc/rfc6749#section-3.2)
 */
export async function token(state: State, call: Call): Promise<Reply> {
  const params = bodyParams(call)
  const type = params.get('grant_type') ?? ''
  const grant = ownMember(GRANTS, type)
  if (grant === undefined) throw refusal('unsupported_grant')
  const machine = type === 'client_credentials' ? await accessKeyToken(state, call) : undefined
  if (machine !== undefined) return machine
  return grant(state, authenticateClient(state, call, params), params)
}
