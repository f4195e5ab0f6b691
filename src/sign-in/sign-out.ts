import { type ConfiguredClient, withConfiguredSecret } from '../auth/oauth/client.js'
import type { OAuthRefusal } from '../auth/oauth/failure.js'
import type { HttpDeps } from '../auth/oauth/http.js'
import type { TokenSource } from '../auth/tokens/token-source.js'
import { storeKey, type TokenRecord, type TokenStore } from '../auth/tokens/token-store.js'
import { messageOf } from '../util/errors.js'
import { createPendingStore } from './pending-sign-in.js'

export interface SignOutDeps extends HttpDeps {
  store: TokenStore
  folder: string
  configured: ConfiguredClient
  /** Gives a valid access token of the record, refreshed if need be. */
  source: TokenSource
}

/** Whether the authorization server revoked the tokens; they are deleted here in any case. */
export interface SignOutReport {
  readonly revoked: boolean
  /** Why not; `undefined` when they are revoked. */
  readonly reason: string | undefined
}

/**
 * Revokes the tokens of a record where the server offers it, then deletes them here. Revocation
 * comes first: it needs a valid access token, so an expired one is refreshed before.
 */
export async function signOut(deps: SignOutDeps, record: TokenRecord): Promise<SignOutReport> {
  const { store, folder, clock } = deps
  let report: SignOutReport
  try {
    report = await revoke(deps, record)
  } catch (error) {
    report = { revoked: false, reason: messageOf(error) }
  }
  await store.exclusively(record.binding, () => store.remove(record.binding))
  await createPendingStore(folder, clock.now).remove(storeKey(record.binding))
  return report
}

async function revoke(deps: SignOutDeps, before: TokenRecord): Promise<SignOutReport> {
  const { serverOf } = await import('../auth/oauth/refresh.js')
  const server = await serverOf(deps, before)
  if (server.revocationEndpoint === undefined) {
    return { revoked: false, reason: `${server.issuer} offers no revocation` }
  }
  const accessToken = await deps.source.get()
  const record = (await deps.store.load(before.binding)) ?? before
  const { revokeToken } = await import('../auth/oauth/revocation.js')
  const client = withConfiguredSecret(record.client, deps.configured)
  const proof = { accessToken: accessToken ?? record.accessToken, proofKey: record.proofKey }
  // revoking the refresh token ends the whole grant; without one, only the access token can be revoked
  const [token, hint] =
    record.refreshToken === undefined
      ? ([record.accessToken, 'access_token'] as const)
      : ([record.refreshToken, 'refresh_token'] as const)
  const refusal = await revokeToken(deps, { server, client, token, hint, ...proof })
  if (refusal !== undefined)
    return { revoked: false, reason: describe(server.issuer, refusal, record) }
  if (record.refreshToken !== undefined) {
    // some servers keep the access token valid; others refuse this, as it ended with the grant
    const access = { token: record.accessToken, hint: 'access_token', ...proof } as const
    await revokeToken(deps, { server, client, ...access }).catch(() => undefined)
  }
  return { revoked: true, reason: undefined }
}

/** Says what a refusal means for the tokens, which are valid still, and who can end them. */
function describe(
  issuer: string,
  { code, description }: OAuthRefusal,
  { expiresAt }: TokenRecord,
): string {
  const said = description === undefined ? '' : ` (${JSON.stringify(description)})`
  const until =
    expiresAt === undefined
      ? ''
      : `, the access token until ${new Date(expiresAt * 1_000).toISOString()}`
  return (
    `${issuer} refused to revoke them: ${JSON.stringify(code)}${said}. ` +
    `A copy of them may be good still${until}; ` +
    'to end them, have an administrator remove the consent or end the sessions of this user there'
  )
}
