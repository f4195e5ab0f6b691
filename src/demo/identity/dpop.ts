import { hash } from 'node:crypto'
import {
  calculateJwkThumbprint,
  decodeProtectedHeader,
  EmbeddedJWK,
  type JWTPayload,
  jwtVerify,
} from 'jose'
import type { IdentityCall } from './http.js'
import { refusal } from './refusals.js'
import { firstSeen, type State } from './state.js'

/** Longest age of a proof, seconds: a choice of the emulator. */
const PROOF_AGE = 300

/** The algorithms that Descope's documents announce. */
export const DPOP_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA'],
]

/**
 * Checks the DPoP proof of a token request, or of one that carries a token.
 *
 * @param token The access token of the request, which the proof then has to name.
 * @returns The thumbprint of its key; `undefined` without a proof.
 * @throws {EmulatorRefusal} `invalid_dpop_proof` or `use_dpop_nonce`
 * @see [RFC 9449 §4.3](https://www.rfc-editor.org/rfc/rfc9449#section-4.3)
 */
export async function proofKey(
  state: State,
  call: IdentityCall,
  token?: string,
): Promise<string | undefined> {
  const { dpop, dpopNonce } = state.options
  const proof = call.headers['dpop']
  if (dpop === 'off') return undefined
  if (proof === undefined) {
    if (dpop === 'require') throw refusal('invalid_dpop_proof', 'A DPoP proof is required')
    return undefined
  }
  const claims = await verifyProof(state, String(proof))
  if (claims['htm'] !== call.method) throw wrong('"htm" is another method')
  if (!isSameUrl(claims['htu'], `${state.baseUrl}${call.path}`)) throw wrong('"htu" is another URL')
  const ath = token === undefined ? undefined : hash('sha256', token, 'base64url')
  if (claims['ath'] !== ath && token !== undefined) throw wrong('"ath" is of another token')
  if (typeof claims.jti !== 'string') throw wrong('"jti" is missing')
  if (dpopNonce && claims['nonce'] !== state.dpopNonce) throw refusal('use_dpop_nonce')
  if (!firstSeen(state, claims.jti, PROOF_AGE)) throw wrong('it was used before')
  return claims.jkt
}

async function verifyProof(state: State, proof: string): Promise<JWTPayload & { jkt: string }> {
  try {
    const { payload } = await jwtVerify(proof, EmbeddedJWK, {
      typ: 'dpop+jwt',
      algorithms: DPOP_ALGORITHMS,
      currentDate: new Date(state.clock.now()),
      maxTokenAge: PROOF_AGE,
      clockTolerance: 5,
    })
    const { jwk } = decodeProtectedHeader(proof)
    if (jwk === undefined || 'd' in jwk) throw wrong('its key is not a public one')
    return { ...payload, jkt: await calculateJwkThumbprint(jwk) }
  } catch {
    throw refusal('invalid_dpop_proof')
  }
}

/** RFC 9449 §4.3: without query and fragment. */
function isSameUrl(htu: unknown, url: string): boolean {
  if (typeof htu !== 'string' || !URL.canParse(htu)) return false
  const { origin, pathname } = new URL(htu)
  return origin + pathname === url
}

function wrong(why: string) {
  return refusal('invalid_dpop_proof', `Invalid DPoP proof: ${why}`)
}
