import { ProxyError } from '../../util/errors.js'
import type { Logger } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import type { Caller } from '../credentials/credential.js'
import { acceptsIssuer, discover, parseConfigUrl } from '../descope/discovery.js'
import type { DescopeSettings } from '../resource-server.js'
import { createAuthenticator } from '../verify/authenticator.js'
import { audiencesOf, readUnverifiedClaims } from '../verify/claims.js'
import { createKeyStore } from '../verify/jwks.js'
import { toTokenError } from '../verify/token-error.js'
import { createVerifier } from '../verify/verify-token.js'
import { INSUFFICIENT_SCOPE, type TokenSource } from './token-source.js'
import { SignInRequiredError } from './token-store.js'

export interface SignedInCallerOptions {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  logger: Logger
  source: TokenSource
  /** Name of the target, for people. */
  target: string
  config: DescopeSettings & { configUrl: string }
  /** The audience of tokens; `undefined` when they only have to be made for our client. */
  resource: string | undefined
  /** Names of further claims that the caller's principal keeps. */
  keptClaims?: readonly string[] | 'all'
  /** The client that signed in. */
  clientId: () => Promise<string | undefined>
}

/**
 * Gives the caller of a sign-in at Descope, after verifying the token here: the targets know nothing of
 * Descope, so that nobody else would verify it.
 *
 * @returns A function that throws a `SignInRequiredError` when there is no token or it is refused,
 *   and `ISSUER_UNREACHABLE` when it cannot be verified now.
 */
export function createSignedInCaller(options: SignedInCallerOptions): () => Promise<Caller> {
  const { runtime, logger, source, config, resource, target } = options
  const project = parseConfigUrl(config.configUrl)
  let jwksUri: string | undefined
  const { clock } = runtime
  const url = () => jwksUri ?? project.jwksFallbackUrl
  const keys = createKeyStore({ runtime, logger, url })
  const verify = async (token: string) => {
    if (jwksUri === undefined) {
      jwksUri = (await discover(runtime, project, config.issuers)).jwksUri
      await keys.load()
    }
    const expected = await audienceFor(token, resource, options)
    const accepts = acceptsIssuer(project, config.issuers)
    const { requiredScopes } = config
    const { keptClaims } = options
    const rules = { clock, keys, acceptsIssuer: accepts, requiredScopes, keptClaims, ...expected }
    return createVerifier(rules).verify(token)
  }
  const { authenticate } = createAuthenticator({ verify }, clock)

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
 * Returns the audience that a token must have. Without a configured resource, the token must be made for
 * the client that signed in: `aud` or `azp` names it. `azp` is read unverified here, which is safe, as
 * the signature is verified afterwards.
 */
async function audienceFor(
  token: string,
  resource: string | undefined,
  { config, clientId }: Pick<SignedInCallerOptions, 'config' | 'clientId'>,
) {
  const { audience } = config
  if (resource !== undefined) return { resource, audience }
  const client = (await clientId()) ?? ''
  const claims = readUnverifiedClaims(token)
  const isForUs = client !== '' && claims['azp'] === client
  const accepted = isForUs ? [...audience, ...audiencesOf(claims)] : audience
  return { resource: client, audience: accepted }
}
