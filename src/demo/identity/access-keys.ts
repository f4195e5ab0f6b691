import { isObject, type JsonObject, stringMember } from '../../util/json.js'
import { parseBasic } from './clients.js'
import { authorization, type IdentityCall, type IdentityReply, json, jsonBody } from './http.js'
import { randomId } from './records.js'
import { refusal } from './refusals.js'
import { nowSeconds, remember, type State } from './state.js'
import { sign } from './tokens.js'

/**
 * Exchanges an access key for a session JWT. Its issuer and audience are the bare project id, so a
 * resource that checks `aud` refuses it.
 *
 * @throws {EmulatorRefusal} `invalid_token`
 */
export async function exchangeAccessKey(state: State, call: IdentityCall): Promise<IdentityReply> {
  const key = projectBearer(state, call)
  const body = call.body === '' ? {} : jsonBody(call)
  const options = isObject(body['loginOptions']) ? body['loginOptions'] : {}
  return json(200, await sessionOf(state, key, options))
}

/**
 * Answers `client_credentials` with Basic `{P}:{access key}` at the token endpoint, or returns
 * `undefined` when the request is not of that form.
 *
 * @throws {EmulatorRefusal} `invalid_token`
 */
export async function accessKeyToken(
  state: State,
  call: IdentityCall,
): Promise<IdentityReply | undefined> {
  const basic = authorization(call, 'basic')
  if (basic === undefined) return undefined
  const [project, key] = parseBasic(basic)
  if (project !== state.projectId) return undefined
  const { sessionJwt } = await sessionOf(state, key, {})
  return json(200, {
    access_token: sessionJwt,
    token_type: 'Bearer',
    expires_in: state.options.accessKeyTtl,
  })
}

/**
 * Returns what follows the project id in `Authorization: Bearer {P}:{…}`.
 *
 * @throws {EmulatorRefusal} `invalid_token` when the header is missing or names another project.
 */
export function projectBearer(state: State, call: IdentityCall): string {
  const [project, ...rest] = (authorization(call, 'bearer') ?? '').split(':')
  const value = rest.join(':')
  remember(state, value)
  if (project !== state.projectId || value === '') throw refusal('invalid_token')
  return value
}

async function sessionOf(state: State, key: string, options: JsonObject) {
  remember(state, key)
  const known = state.options.accessKeys.find((candidate) => candidate.key === key)
  if (known === undefined) throw refusal('invalid_token', 'Unknown access key')
  const custom = isObject(options['customClaims']) ? options['customClaims'] : {}
  const now = nowSeconds(state)
  const sessionJwt = await sign(state, {
    ...known.claims,
    ...custom,
    iss: state.projectId,
    aud: [state.projectId],
    sub: known.keyId,
    drn: 'DS',
    dct: stringMember(options, 'selectedTenant'),
    iat: now,
    exp: now + state.options.accessKeyTtl,
    jti: randomId(),
  })
  state.counters.accessKeys++
  return { keyId: known.keyId, sessionJwt }
}
