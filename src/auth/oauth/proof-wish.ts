import { ProxyError } from '../../util/errors.js'
import { type JsonObject, textsMember } from '../../util/json.js'
import { shownUrl } from '../../util/url-text.js'
import { PROOF_ALGORITHM } from './proof-keys.js'
import type { AuthorizationServer } from './server-metadata.js'

/** The stronger one first. */
const WISHES = ['required', 'offered'] as const

/** Whether a server takes tokens that are bound to a key, or takes no others. */
export type ProofWish = (typeof WISHES)[number]

/** Reads a wish that was stored. */
export function proofWishOf(value: unknown): ProofWish | undefined {
  return WISHES.find((wish) => wish === value)
}

/**
 * Reads what the metadata of a protected resource says of DPoP.
 *
 * @see [RFC 9728 §2](https://www.rfc-editor.org/rfc/rfc9728#section-2) `dpop_bound_access_tokens_required`
 */
export function proofWishIn(document: JsonObject): { proof?: ProofWish } {
  if (document['dpop_bound_access_tokens_required'] === true) return { proof: 'required' }
  const algorithms = textsMember(document, 'dpop_signing_alg_values_supported')
  return algorithms.includes(PROOF_ALGORITHM) ? { proof: 'offered' } : {}
}

/**
 * Decides whether a token is to be bound to a key: where both servers know how.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when the resource takes no other tokens, and there are none such.
 */
export function proofFor(
  url: URL,
  { issuer, takesProofs }: AuthorizationServer,
  wishes: readonly (ProofWish | undefined)[],
): ProofWish | undefined {
  const wish = WISHES.find((one) => wishes.includes(one))
  if (wish === undefined || takesProofs) return wish
  if (wish === 'offered') return undefined
  const what = `${shownUrl(url)} takes access tokens with a DPoP proof (${PROOF_ALGORITHM}) only, and ${issuer} announces none`
  throw new ProxyError('SIGN_IN_FAILED', what, {
    hint: 'Have the operator switch DPoP on at the authorization server, or take Bearer tokens at the server.',
  })
}
