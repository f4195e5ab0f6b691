import { ProxyError } from '../../util/errors.js'
import type { Runtime } from '../../util/runtime.js'
import type { Descope } from '../resource-server.js'
import { type ClientCredentialsSettings, clientCredentials } from './client-credentials.js'
import { type ConnectionSettings, connection } from './connection.js'
import type { TargetCredential } from './credential.js'
import { bearerCredential, headerCredential, noCredential } from './static.js'
import { type TokenExchangeSettings, tokenExchange } from './token-exchange.js'

/** How to authenticate at a target, as configured. */
export type CredentialSettings =
  | { type: 'none' }
  | { type: 'bearer'; token: string }
  | { type: 'header'; name: string; value: string }
  | ({ type: 'client-credentials' } & ClientCredentialsSettings)
  | ({ type: 'token-exchange' } & TokenExchangeSettings)
  | ({ type: 'connection' } & ConnectionSettings)

export interface CredentialDeps {
  runtime: Pick<Runtime, 'fetch' | 'clock'>
  targetUrl: string
  /** `undefined` without authentication; then no credential can depend on the caller. */
  descope: Pick<Descope, 'project' | 'tokenEndpoint'> | undefined
}

/**
 * Creates the credential of one target. Nothing is fetched before the first request.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when a value cannot be sent, or Descope is needed but not
 *   configured.
 */
export function createCredential(
  settings: CredentialSettings,
  { runtime, targetUrl, descope }: CredentialDeps,
): TargetCredential {
  switch (settings.type) {
    case 'none':
      return noCredential()
    case 'bearer':
      return bearerCredential(settings.token)
    case 'header':
      return headerCredential(settings.name, settings.value)
    case 'client-credentials':
      return clientCredentials(settings, { runtime, targetUrl })
    case 'token-exchange':
      return tokenExchange(settings, { runtime, targetUrl, descope: required(settings, descope) })
    case 'connection':
      return connection(settings, { runtime, descope: required(settings, descope) })
  }
}

function required<T>({ type }: CredentialSettings, descope: T | undefined): T {
  if (descope !== undefined) return descope
  throw new ProxyError('CONFIG_INVALID', `The credential type "${type}" needs Descope`, {
    hint: 'Set DESCOPE_CONFIG_URL, or choose another credential for this target.',
  })
}
