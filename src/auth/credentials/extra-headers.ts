import type { CredentialHeaders, TargetCredential } from '../credential.js'

/** Adds fixed headers to those of a credential; the credential's own ones win. */
export function withHeaders(
  credential: TargetCredential,
  headers: readonly (readonly [string, string])[],
): TargetCredential {
  if (headers.length === 0) return credential
  const fixed = Object.fromEntries(headers)
  const join = (own: CredentialHeaders) => ({ ...fixed, ...own })
  return {
    headers(caller) {
      const own = credential.headers(caller)
      return own instanceof Promise ? own.then(join) : join(own)
    },
    refused: (caller, refusal) => credential.refused(caller, refusal),
  }
}
