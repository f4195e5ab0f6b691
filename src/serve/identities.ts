import type { TargetCredential } from '../auth/credentials/credential.js'
import {
  createIdentitySigner,
  type IdentitySigner,
  identityIssuer,
} from '../auth/identity/signer.js'
import { claimsToKeep, identityHeader, withIdentity } from '../auth/identity/target-identity.js'
import type { ProxyConfig, TargetConfig } from '../config/types.js'
import { IDENTITY_FIELD } from '../upstream/upstream.js'
import type { Keeper } from '../util/keeper.js'
import type { Logger } from '../util/logger.js'
import { claimsIn } from '../util/relation-template.js'
import type { Clock } from '../util/runtime.js'

/** What targets are told of their callers. */
export interface Identities {
  /** Claims of the token that principals must keep for targets and for relations. */
  readonly keptClaims: readonly string[]
  /** The key set to publish; `undefined` when nothing is signed. */
  readonly jwks: IdentitySigner['jwks'] | undefined
  /** The header in which a target gets JWTs, if it does. */
  signedHeader(target: TargetConfig): string | undefined
  readonly signer: IdentitySigner | undefined
  /** Adds what a target is told to its credential. */
  addTo(credential: TargetCredential, target: TargetConfig): TargetCredential
}

/**
 * Prepares what targets are told. Where nobody is told anything, nothing is done.
 *
 * @param resource The public MCP URL.
 */
export function createIdentities(
  { targets, identity, server }: Pick<ProxyConfig, 'targets' | 'identity' | 'server'>,
  resource: string,
  clock: Pick<Clock, 'now'>,
  logger: Logger,
  keeper: Keeper,
): Identities {
  const told = targets.filter((target) => target.identity !== undefined)
  const signs = told.some((target) => target.identity?.method === 'jwt')
  // a key may be published before it is used
  const publishes = signs || identity.key !== undefined || identity.previousKeys.length > 0
  const issuer = identityIssuer(resource, server.path)
  const madeOf = JSON.stringify([identity.key, identity.previousKeys, issuer])
  const make = () => createIdentitySigner(identity, issuer, clock)
  const signer = publishes ? keeper.keep('signer', [madeOf], make) : undefined
  if (signs && identity.key === undefined && !keeper.isKept('signer')) {
    logger.info('identity_key_made', 'Identities are signed with a key made for this process', {
      kid: signer?.jwks.keys[0]?.['kid'],
    })
  }
  return {
    keptClaims: claimsToKeep([
      ...told.map((target) => target.identity?.claims ?? []),
      ...targets.map(({ tools }) => Object.values(tools.fga ?? {}).flatMap(claimsIn)),
    ]),
    jwks: signer?.jwks,
    signer,
    signedHeader: ({ identity: own }) => (own?.method === 'jwt' ? identityHeader(own) : undefined),
    addTo(credential, { name, url, program, identity: own }) {
      if (own === undefined) return credential
      return withIdentity(credential, own, {
        clock,
        target: name,
        signer: own.method === 'jwt' ? signer : undefined,
        audience: url ?? `stdio:${name}`,
        ...(program !== undefined && { field: IDENTITY_FIELD }),
      })
    },
  }
}
