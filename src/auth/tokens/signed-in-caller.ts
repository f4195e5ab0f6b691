import { ProxyError } from '../../util/errors.js'
import { stringsMember } from '../../util/json.js'
import type { Logger } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import type { Caller } from '../credentials/credential.js'
import { acceptsIssuer, discover, parseConfigUrl } from '../descope/discovery.js'
import { createAuthenticator } from '../verify/authenticator.js'
import { createKeyStore } from '../verify/jwks.js'
import { toTokenError } from '../verify/token-error.js'
import { readUnverifiedClaims } from '../verify/unverified-claims.js'
import { createVerifier } from '../verify/verify-token.js'
import { INSUFFICIENT_SCOPE, type TokenSource } from './token-source.js'
import { SignInRequiredError } from './token-store.js'

export interface SignedInCallerOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  logger: Logger
  source: TokenSource
  /** Name of the target, for people. */
  target: string
  config: {
    configUrl: string
    audience: readonly string[]
    requiredScopes: readonly string[]
    issuers: readonly string[]
  }
  /** What tokens must be made for; `undefined` where they only have to be made for our client. */
  resource: string | undefined
  /** The client that signed in. */
  clientId: () => Promise<string | undefined>
}

/**
 * Gives the caller that somebody signed in as at Descope, with a token that was verified: for
 * targets that know nothing of Descope, where nobody else would look at it.
 *
 * @returns A function that throws a `SignInRequiredError` when there is no token or it is refused,
 *   and `ISSUER_UNREACHABLE` when it cannot be verified now.
 */
export function createSignedInCaller(options: SignedInCallerOptions): () => Promise<Caller> {
  const { runtime, logger, source, config, resource, target } = options
  const project = parseConfigUrl(config.configUrl)
  let jwksUri: string | undefined
  const keys = createKeyStore({
    runtime,
    logger,
    url: () => jwksUri ?? project.jwksFallbackUrl,
  })
  const load = async () => {
    if (jwksUri !== undefined) return
    const found = await discover(runtime, project, config.issuers)
    jwksUri = found.jwksUri
    await keys.load()
  }

  const { authenticate } = createAuthenticator(
    {
      async verify(token) {
        await load()
        return createVerifier({
          clock: runtime.clock,
          keys,
          acceptsIssuer: acceptsIssuer(project, config.issuers),
          requiredScopes: config.requiredScopes,
          ...(await audienceFor(token, resource, options)),
        }).verify(token)
      },
    },
    runtime.clock,
  )

  return async () => {
    const token = await source.get()
    if (token === undefined) throw new SignInRequiredError(target, {})
    try {
      const principal = await authenticate(token)
      source.accepted?.(token)
      return { principal, accessToken: token }
    } catch (error) {
      const { reason, message, status, scopes, cause } = toTokenError(error)
      if (status === 503) {
        const why = cause instanceof ProxyError ? cause.message : message
        throw new ProxyError('ISSUER_UNREACHABLE', why, { cause: error })
      }
      logger.warn('token_refused', `The token of the sign-in is refused: ${message}`)
      const challenge =
        reason === 'insufficient_scope'
          ? { error: INSUFFICIENT_SCOPE, scope: scopes.join(' ') }
          : undefined
      throw new SignInRequiredError(target, { refused: token, challenge })
    }
  }
}

/**
 * A token without a resource must be made for the client that we signed in with: `aud` names it, or
 * `azp` does. What is read here is not verified yet; all of it stands in the same token.
 */
async function audienceFor(
  token: string,
  resource: string | undefined,
  { config, clientId }: Pick<SignedInCallerOptions, 'config' | 'clientId'>,
) {
  const { audience } = config
  if (resource !== undefined) return { resource: () => resource, audience }
  const client = (await clientId()) ?? ''
  const claims = readUnverifiedClaims(token)
  const { aud } = claims
  const own = typeof aud === 'string' ? [aud] : stringsMember(claims, 'aud')
  const isForUs = client !== '' && claims['azp'] === client
  return { resource: () => client, audience: isForUs ? [...audience, ...own] : audience }
}
