import { ProxyError } from '../../util/errors.js'
import { type ConfiguredClient, chooseAuthMethod, type OAuthClient } from './client.js'
import type { HttpDeps } from './http.js'
import { coversRedirect, otherCallbackHost, type Registration, register } from './register.js'
import { missingScopes, splitScopes } from './scopes.js'
import type { AuthorizationServer } from './server-metadata.js'

/** Where dynamic registrations are kept, by issuer. */
export interface ClientStore {
  load(issuer: string): Promise<Registration | undefined>
  save(issuer: string, registration: Registration): Promise<void>
  forget(issuer: string, clientId: string): Promise<void>
  /** Runs `task` while no other process registers at this issuer. */
  exclusively<T>(issuer: string, task: () => Promise<T>): Promise<T>
}

export interface ChooseClientOptions {
  server: AuthorizationServer
  configured: ConfiguredClient
  clients: ClientStore
  /** The redirect URI that is about to be used. */
  redirectUri: string
  /** All that may ever be used, so that a busy port needs no new registration. */
  candidateUris: readonly string[]
  /** What is about to be asked for. */
  scope: string | undefined
  /** Seconds since the epoch. */
  now: number
}

/** A client, with what it may be used for. */
export interface ChosenClient {
  readonly client: OAuthClient
  /** What to ask for: `scope`, without what the server did not grant to the client. */
  readonly scope: string | undefined
  /** What may go wrong with this client, for people. */
  readonly note: string | undefined
}

/** A registration that collects more scopes than this starts anew with those that are needed. */
const MAX_SCOPES = 100

/**
 * Gets a client for an authorization server, in MCP's order: given by the user, by a client id
 * metadata document, by dynamic registration. A registration is kept under the issuer and made
 * anew only when its redirect URIs or its scopes do not cover ours, or its secret ended.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when there is no way to get one.
 */
export async function chooseClient(
  deps: HttpDeps,
  options: ChooseClientOptions,
): Promise<ChosenClient> {
  const { server, configured, clients, redirectUri, candidateUris, scope, now } = options
  const given = configuredClient(server, configured)
  if (given !== undefined) return { client: given, scope, note: undefined }
  if (server.registrationEndpoint === undefined) {
    throw new ProxyError('SIGN_IN_FAILED', `${server.issuer} does not register clients by itself`, {
      hint: 'Register a client there and pass its id with `--client-id`.',
    })
  }
  return clients.exclusively(server.issuer, async () => {
    const known = await clients.load(server.issuer)
    if (known !== undefined && isStillGood(known, redirectUri, scope, now)) {
      return chosen(known, redirectUri, scope)
    }
    const made = await register(deps, {
      server,
      redirectUris: [...new Set([redirectUri, ...candidateUris])],
      scopes: scopesToRegister(known, scope),
    })
    await clients.save(server.issuer, made)
    return chosen(made, redirectUri, scope)
  })
}

/** The client that needs no registration; `undefined` when there is none. */
export function configuredClient(
  server: Pick<AuthorizationServer, 'tokenAuthMethods' | 'clientIdMetadataDocuments'>,
  { id, secret, metadataUrl }: ConfiguredClient,
): OAuthClient | undefined {
  if (id !== undefined) {
    const authMethod = chooseAuthMethod(server.tokenAuthMethods, secret)
    return { id, secret, authMethod, source: 'static', redirectUris: [] }
  }
  if (metadataUrl === undefined || !server.clientIdMetadataDocuments) return undefined
  return {
    id: metadataUrl,
    secret: undefined,
    authMethod: 'none',
    source: 'document',
    redirectUris: [],
  }
}

/** What was asked for counts as registered: a server that did not take it would not do so now. */
function isStillGood(
  { client, secretExpiresAt, requestedScope, grantedScope }: Registration,
  redirectUri: string,
  scope: string | undefined,
  now: number,
): boolean {
  const isAlive = (secretExpiresAt ?? Number.POSITIVE_INFINITY) > now
  const registered = `${requestedScope ?? ''} ${grantedScope ?? ''}`
  const coversScopes = missingScopes(scope, registered).length === 0
  return isAlive && coversScopes && client.redirectUris.includes(redirectUri)
}

/**
 * Chooses what to register: all scopes that were needed at this server so far, so that several
 * targets can share a client; else those that are needed now; else none.
 */
function scopesToRegister(
  known: Registration | undefined,
  scope: string | undefined,
): (string | undefined)[] {
  const all = splitScopes(`${known?.requestedScope ?? ''} ${scope ?? ''}`)
  const together = all.length === 0 || all.length > MAX_SCOPES ? scope : all.join(' ')
  return [...new Set([together, scope, undefined])]
}

/** A client that got fewer scopes than it asked for would be refused if it used the others. */
function chosen(
  { client, grantedScope, answeredUris }: Registration,
  redirectUri: string,
  scope: string | undefined,
): ChosenClient {
  const granted = new Set(splitScopes(grantedScope))
  const usable = splitScopes(scope).filter((name) => granted.has(name))
  const isCovered =
    answeredUris.length === 0 || answeredUris.some((uri) => coversRedirect(uri, redirectUri))
  return {
    client,
    scope: usable.length > 0 ? usable.join(' ') : scope,
    note: isCovered
      ? undefined
      : `The server registered ${JSON.stringify(answeredUris[0]?.slice(0, 200))} in place of ${redirectUri}: if it refuses to sign you in, use ${otherCallbackHost(redirectUri)}.`,
  }
}
