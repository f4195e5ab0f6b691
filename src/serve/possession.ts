import type { IncomingMessage } from 'node:http'
import type { Caller } from '../auth/credentials/credential.js'
import type { Descope } from '../auth/resource-server.js'
import { schemeOf } from '../auth/verify/challenge-response.js'
import type { ProofVerifier } from '../auth/verify/dpop-proof.js'
import { TokenError, toTokenError } from '../auth/verify/token-error.js'

interface PossessionOptions {
  descope: Pick<Descope, 'authenticateBound' | 'dpop'>
  verifyProof: ProofVerifier
  /** The path of the endpoint on this server, and its public URL. */
  path: string
  resource: string
  /** The public URL before all paths. */
  frontUrl: string
}

/** Creates the check of an endpoint; `undefined` where it takes no proofs. */
export function possessionAt({
  descope,
  ...place
}: Omit<PossessionOptions, 'descope'> & {
  descope: PossessionOptions['descope'] | undefined
}): Possession | undefined {
  if (descope === undefined || descope.dpop === 'off') return undefined
  return createPossession({ ...place, descope })
}

/** Finds out who sends an access token that is bound to a key, with a proof of that key. */
export interface Possession {
  /** Tells whether a request is one for it, by its `Authorization` header. */
  concerns(authorization: string | undefined): boolean
  /**
   * Returns the caller of a request once its proof was checked: on every request, whatever is known of
   * its token, but once on each, since the proof is good for one use.
   *
   * @param readToken Returns the token of the header, or throws a {@link TokenError}.
   * @throws {TokenError} As a rejection only.
   */
  authenticate(request: IncomingMessage, readToken: () => string): Promise<Caller>
}

/**
 * Creates the check of DPoP at an endpoint.
 *
 * @see [RFC 9449 §7](https://www.rfc-editor.org/rfc/rfc9449#section-7) Protected Resource Access
 */
function createPossession(options: PossessionOptions): Possession {
  const { descope, verifyProof, path, resource, frontUrl } = options
  const checked = new WeakMap<IncomingMessage, Promise<Caller>>()

  /** At any other path than the endpoint's, where nothing is but a 404. */
  const urlOf = ({ url = '' }: IncomingMessage) => {
    const [pathname = ''] = url.split('?', 1)
    return pathname === path || pathname === `${path}/` ? resource : frontUrl + pathname
  }

  const check = async (request: IncomingMessage, readToken: () => string): Promise<Caller> => {
    try {
      const accessToken = readToken()
      const proof = proofOf(request)
      const principal = await descope.authenticateBound(accessToken)
      await verifyProof(proof, {
        method: request.method ?? '',
        url: urlOf(request),
        accessToken,
        keyThumbprint: principal.keyThumbprint ?? '',
      })
      return { principal, accessToken }
    } catch (error) {
      throw toTokenError(error)
    }
  }

  return {
    concerns: (authorization) => descope.dpop === 'require' || schemeOf(authorization) === 'DPoP',
    authenticate(request, readToken) {
      const before = checked.get(request)
      if (before !== undefined) return before
      const caller = check(request, readToken)
      checked.set(request, caller)
      return caller
    },
  }
}

/** Node joins several headers of this name to one, so that they are counted where they came. */
function proofOf({ rawHeaders }: IncomingMessage): string {
  const proofs = rawHeaders.filter((_, at) => at % 2 === 1 && isProofName(rawHeaders[at - 1]))
  const [proof, ...others] = proofs
  if (proof === undefined) throw new TokenError('proof_missing', 'The request has no DPoP proof')
  if (others.length === 0) return proof
  throw new TokenError('proof_invalid', 'The request has more than one DPoP header')
}

const isProofName = (name: string | undefined) => name?.toLowerCase() === 'dpop'
