import { decodeJwt, importJWK, jwtVerify } from 'jose'
import { issuerUrl } from './documents.js'
import type { IdentityCall } from './http.js'
import type { Client } from './records.js'
import { refusal } from './refusals.js'
import { firstSeen, remember, type State } from './state.js'

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Longest time for which the id of an assertion is kept, seconds. */
const LONGEST_LIFE = 3600

/**
 * Returns the client id of a `client_assertion`, not yet verified; `undefined` without one.
 *
 * @throws {EmulatorRefusal} `invalid_request` for an assertion of another type.
 */
export function assertedClientId(params: URLSearchParams): string | undefined {
  const assertion = params.get('client_assertion')
  if (assertion === null) return undefined
  if (params.get('client_assertion_type') !== ASSERTION_TYPE) {
    throw refusal('invalid_request', `"client_assertion_type" must be "${ASSERTION_TYPE}"`)
  }
  try {
    return decodeJwt(assertion).sub ?? ''
  } catch {
    throw refusal('bad_secret', 'Invalid client assertion')
  }
}

/**
 * Verifies the assertion by which a client proves itself: ES256, once, for this server.
 *
 * Which audiences Descope takes is not known; the emulator takes the URL of the endpoint asked,
 * both issuers and its own origin.
 *
 * @throws {EmulatorRefusal} `bad_secret`
 * @see [RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)
 */
export async function verifyAssertion(
  state: State,
  call: IdentityCall,
  { clientId, publicKey }: Client,
  params: URLSearchParams,
): Promise<void> {
  const assertion = params.get('client_assertion') ?? ''
  remember(state, assertion)
  if (publicKey === undefined) throw refusal('bad_secret', 'This client has no public key')
  const { baseUrl } = state
  const audience = [
    `${baseUrl}${call.path}`,
    issuerUrl(state, 'agentic'),
    issuerUrl(state, 'project'),
    baseUrl,
  ]
  try {
    const { payload } = await jwtVerify(assertion, await importJWK(publicKey, 'ES256'), {
      algorithms: ['ES256'],
      issuer: clientId,
      subject: clientId,
      audience,
      requiredClaims: ['exp', 'jti'],
      currentDate: new Date(state.clock.now()),
      clockTolerance: 5,
    })
    if (firstSeen(state, String(payload.jti), LONGEST_LIFE)) return
  } catch {
    throw refusal('bad_secret', 'Invalid client assertion')
  }
  throw refusal('bad_secret', 'This client assertion was used before')
}
