import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Caller } from '../auth/credentials/credential.js'
import type { Descope } from '../auth/resource-server.js'
import { TokenError, toTokenError } from '../auth/verify/token-error.js'
import type { Clock } from '../util/runtime.js'

const NOBODY: Caller = { principal: undefined, accessToken: undefined }

/** How long a connection's last caller is reused for the same token, milliseconds. */
const SAME_CALLER_MS = 1_000

interface LastCaller {
  authorization: string
  caller: Caller
  until: number
}

/**
 * Creates the check of a request's bearer token. Whatever goes wrong is a refusal.
 *
 * @param descope `undefined` switches authentication off.
 * @returns The caller, at once when the token was verified lately; else a promise that rejects with
 *   {@link TokenError} only.
 * @see [RFC 6750 §2.1](https://www.rfc-editor.org/rfc/rfc6750#section-2.1) Authorization Request Header Field
 */
export function createAuthenticate(
  descope: Pick<Descope, 'authenticate'> | undefined,
  clock: Pick<Clock, 'now'>,
) {
  /** Clients send the same header on a connection; comparing it is cheaper than hashing it. */
  const lastCallers = new WeakMap<Socket, LastCaller>()

  return (request: IncomingMessage): Caller | Promise<Caller> => {
    if (descope === undefined) return NOBODY
    try {
      const last = lastCallers.get(request.socket)
      const authorization = authorizationOf(request)
      if (last?.authorization === authorization && last !== undefined && isSingle(request)) {
        if (clock.now() < last.until) return last.caller
      }
      const accessToken = bearerToken(request)
      const principal = descope.authenticate(accessToken)
      if (!(principal instanceof Promise)) {
        const caller = { principal, accessToken }
        const until = Math.min(principal.expiresAt * 1000, clock.now() + SAME_CALLER_MS)
        if (authorization !== undefined) {
          lastCallers.set(request.socket, { authorization, caller, until })
        }
        return caller
      }
      return principal.then(
        (verified) => ({ principal: verified, accessToken }),
        (error: unknown) => Promise.reject(toTokenError(error)),
      )
    } catch (error) {
      return Promise.reject(toTokenError(error))
    }
  }
}

/** Reads own members only, so that nothing on a prototype passes for a header. */
function authorizationOf({ headers }: IncomingMessage): string | undefined {
  return Object.hasOwn(headers, 'authorization') ? headers.authorization : undefined
}

function bearerToken(request: IncomingMessage): string {
  const authorization = authorizationOf(request)
  if (authorization === undefined) throw new TokenError('missing', 'An access token is needed')
  if (!isSingle(request)) {
    throw new TokenError('malformed', 'The request has more than one Authorization header')
  }
  const space = authorization.indexOf(' ')
  const token = authorization.slice(space + 1).trim()
  if (space < 0 || authorization.slice(0, space).toLowerCase() !== 'bearer' || token === '') {
    throw new TokenError('malformed', 'The Authorization header must be "Bearer <access token>"')
  }
  return token
}

/** Tells whether the request has one Authorization header; Node drops further ones silently. */
function isSingle({ rawHeaders }: IncomingMessage): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]?.length === 13 && rawHeaders[i]?.toLowerCase() === 'authorization') count++
  }
  return count < 2
}
