import type { IncomingMessage } from 'node:http'
import type { Caller } from '../auth/credential.js'
import type { Descope } from '../auth/service.js'
import { TokenError, toTokenError } from '../auth/token-error.js'

const NOBODY: Caller = { principal: undefined, accessToken: undefined }

/**
 * Creates the check of a request's bearer token. Whatever goes wrong is a refusal.
 *
 * @param descope `undefined` switches authentication off.
 * @returns The caller, at once when the token was verified lately; else a promise that rejects with
 *   {@link TokenError} only.
 * @see [RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1) Authorization Request Header Field
 */
export function createAuthenticate(descope: Pick<Descope, 'authenticate'> | undefined) {
  return (request: IncomingMessage): Caller | Promise<Caller> => {
    if (descope === undefined) return NOBODY
    try {
      const accessToken = bearerToken(request)
      const principal = descope.authenticate(accessToken)
      if (!(principal instanceof Promise)) return { principal, accessToken }
      return principal.then(
        (verified) => ({ principal: verified, accessToken }),
        (error: unknown) => Promise.reject(toTokenError(error)),
      )
    } catch (error) {
      return Promise.reject(toTokenError(error))
    }
  }
}

function bearerToken({ headers, rawHeaders }: IncomingMessage): string {
  const { authorization } = headers
  if (authorization === undefined) throw new TokenError('missing', 'An access token is needed')
  if (countAuthorization(rawHeaders) > 1) {
    throw new TokenError('malformed', 'The request has more than one Authorization header')
  }
  const space = authorization.indexOf(' ')
  const token = authorization.slice(space + 1).trim()
  if (space < 0 || authorization.slice(0, space).toLowerCase() !== 'bearer' || token === '') {
    throw new TokenError('malformed', 'The Authorization header must be "Bearer <access token>"')
  }
  return token
}

function countAuthorization(rawHeaders: readonly string[]): number {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === 13 && rawHeaders[i]?.toLowerCase() === 'authorization') count++
  }
  return count
}
