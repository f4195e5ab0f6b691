import { ProxyError } from '../../util/errors.js'
import type { OAuthRefusedError } from '../oauth/failure.js'

/**
 * Makes the error for a caller of an authorization server's refusal; one that may pass by itself
 * stays what it is.
 */
export function refusedCredential(error: OAuthRefusedError, hint: string): ProxyError {
  if (error.code === 'ISSUER_UNREACHABLE') return error
  return new ProxyError('CREDENTIAL_REFUSED', error.message, { hint, cause: error })
}

/** Makes the error for a request that carries no verified token where one is needed. */
export function noCaller(what: string): ProxyError {
  return new ProxyError('CREDENTIAL_REFUSED', `${what} needs a signed-in caller`, {
    hint: 'Configure DESCOPE_CONFIG_URL, or another credential for this target.',
  })
}
