import { singleFlight } from '../../util/async.js'
import { ProxyError } from '../../util/errors.js'
import type { Clock } from '../../util/runtime.js'
import type { GrantTarget } from '../oauth/discover.js'
import type { HttpDeps } from '../oauth/http.js'
import type { BearerChallenge } from '../oauth/parse-challenge.js'
import { useProofKey } from '../oauth/proof-keys.js'
import { requiresMore, requiresStepUp, type TokenSource } from './token-source.js'

export interface ClientCredentialsDeps extends HttpDeps {
  clock: Clock
  target: GrantTarget
  client: { id: string; secret: string }
  /** The scope to request; without it, the one that the target names. */
  scope: string | undefined
  /**
   * How the target refused a request without a token, if that is known. With `awaited` there is no
   * token before the target refused one, since its challenge says which server the secret is for.
   */
  challenge?: BearerChallenge | 'awaited' | undefined
}

/**
 * Gets tokens of the client itself (RFC 6749 §4.4) and keeps them in memory; nobody has to sign in.
 *
 * A refused token is replaced once; a second refusal in a row is final.
 */
export function createClientCredentialsSource(deps: ClientCredentialsDeps): TokenSource {
  const { clock } = deps
  /** `renewAt` in milliseconds since the epoch. */
  let held: { token: string; renewAt: number } | undefined
  const isAwaited = deps.challenge === 'awaited' && deps.target.kind === 'server'
  let challenged = deps.challenge === 'awaited' ? undefined : deps.challenge
  let unproven: string | undefined

  const renew = singleFlight(async () => {
    held = await requestToken(deps, challenged)
    return held.token
  })

  return {
    async get(challenge) {
      challenged = challenge ?? challenged
      if (held !== undefined && clock.now() < held.renewAt) return held.token
      return isAwaited && challenged === undefined ? undefined : renew()
    },
    async refused(token, challenge) {
      if (held !== undefined && held.token !== token) return { next: 'retry' }
      if (requiresMore(challenge) || token === unproven) {
        return { next: 'give-up', error: refusedForGood(deps.client.id, challenge) }
      }
      challenged = challenge
      unproven = await renew()
      return { next: 'retry' }
    },
  }
}

async function requestToken(deps: ClientCredentialsDeps, challenge: BearerChallenge | undefined) {
  const { requestClientToken } = await import('../oauth/client-token.js')
  const { client, target, scope } = deps
  const grant = await requestClientToken(deps, { client, target, challenge, scope })
  if (grant.proofKey !== undefined) useProofKey(grant.accessToken, grant.proofKey)
  const lifeMs = (grant.expiresIn ?? 300) * 1_000
  const marginMs = Math.min(Math.max(60_000, lifeMs / 10), lifeMs / 2)
  return { token: grant.accessToken, renewAt: deps.clock.now() + lifeMs - marginMs }
}

function refusedForGood(clientId: string, challenge: BearerChallenge | undefined): ProxyError {
  const scope =
    challenge?.scope === undefined ? '' : ` (it needs ${JSON.stringify(challenge.scope)})`
  if (requiresStepUp(challenge)) {
    const what = `This needs a person who signs in with a step-up, and client ${JSON.stringify(clientId)} is none`
    return new ProxyError('CREDENTIAL_REFUSED', what, {
      hint: 'Leave MCP_DESCOPE_CLIENT_SECRET out, and sign in: `mcp-descope-proxy login`.',
    })
  }
  const what = `The token of client ${JSON.stringify(clientId)} was refused${scope}`
  return new ProxyError('CREDENTIAL_REFUSED', what, {
    hint: 'Give the client access to this server and its scopes (in Descope: a Policy).',
  })
}
