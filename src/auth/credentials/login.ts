import { ProxyError } from '../../util/errors.js'
import { readBearerChallenge, saysTokenInvalid } from '../oauth/parse-challenge.js'
import { accessHeaders } from '../oauth/proof-keys.js'
import { requiresMore, type TokenSource } from '../tokens/token-source.js'
import { type SignInNeed, SignInRequiredError } from '../tokens/token-store.js'
import type { Caller, TargetCredential } from './credential.js'

export interface LoginCredentialOptions {
  source: TokenSource
  /** Name of the target, for people. */
  target: string
  /** Several targets are configured, and each has a sign-in of its own. */
  isOneOfSeveral?: boolean
}

/**
 * Creates the credential of a target whose 401 names the issuer of its tokens. Before the user has
 * signed in, requests carry none.
 */
export function loginCredential(options: LoginCredentialOptions): TargetCredential {
  const { source, target, isOneOfSeveral = false } = options
  /** By caller, because another token may be in use by the time that one is refused. */
  const sent = new WeakMap<Caller, string>()
  /** Whose proof was refused once. */
  const reproved = new WeakSet<Caller>()

  const signInRequired = (need: SignInNeed) =>
    new SignInRequiredError(target, isOneOfSeveral ? { ...need, target } : need)

  return {
    async headers(caller) {
      const token = await source.get()
      if (token === undefined) return {}
      sent.set(caller, token)
      return accessHeaders(token)
    },
    async refused(caller, refusal) {
      const challenge = readBearerChallenge(refusal.challenge)
      const token = sent.get(caller)
      if (challenge?.error === 'invalid_dpop_proof' && token !== undefined) {
        if (reproved.has(caller)) throw proofRefused(target, challenge.errorDescription)
        reproved.add(caller)
        return true
      }
      const isStepUp = requiresMore(challenge)
      if (!isStepUp && !saysTokenInvalid(refusal.status, refusal.challenge)) return false
      if (token === undefined) {
        if ((await source.get(challenge ?? {})) !== undefined) return true
        throw signInRequired({ challenge })
      }
      const verdict = await source.refused(token, challenge)
      if (verdict.next === 'retry') return true
      if (verdict.next === 'give-up') throw verdict.error
      throw signInRequired({ refused: token, challenge })
    },
  }
}

/** The error for a target that takes no proof of ours: another token would change nothing. */
function proofRefused(target: string, why: string | undefined): ProxyError {
  const said = why === undefined ? '' : ` (${JSON.stringify(why.slice(0, 200))})`
  return new ProxyError('CREDENTIAL_REFUSED', `${target} refuses the DPoP proof${said}`, {
    hint: 'Check the clock of this machine, and that the URL is the one that the server knows itself by.',
  })
}
