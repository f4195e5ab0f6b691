import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import { ProxyError } from '../../util/errors.js'
import type { JsonObject } from '../../util/json.js'
import { type JwtKey, readJwtKey } from '../../util/jwt-key.js'
import type { Clock } from '../../util/runtime.js'

/** The longest life of a JWT, seconds. */
const MAX_LIFE = 300

export interface IdentityKeys {
  /** PEM or JWK; `undefined` makes a key for this process. */
  readonly key: string | undefined
  /** Published with it: those that were used before, and those that will be used next. */
  readonly previousKeys: readonly string[]
}

/** Signs what targets are told about callers. */
export interface IdentitySigner {
  /**
   * Signs claims for one target.
   *
   * @param claims As JSON text.
   * @param expiresAt When the caller's token ends, seconds since the epoch.
   * @see [RFC 7519](https://www.rfc-editor.org/rfc/rfc7519) JSON Web Token
   */
  sign(claims: string, about: { audience: string; expiresAt: number }): Promise<string>
  /** The key set with which targets check signatures: public members only. */
  readonly jwks: { readonly keys: readonly Readonly<Record<string, string>>[] }
}

/**
 * Creates the signer of one issuer.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when a key cannot be used.
 */
export function createIdentitySigner(
  { key, previousKeys }: IdentityKeys,
  issuer: string,
  clock: Pick<Clock, 'now'>,
): IdentitySigner {
  const current = key === undefined ? madeKey() : readable('identity.key', key, 'private')
  const { privateKey, alg, kid } = current
  if (privateKey === undefined) throw unusable('identity.key', 'is a public key')
  const others = previousKeys.map((text, index) =>
    readable(`identity.previousKeys[${index}]`, text, 'public'),
  )
  const published = new Map([...others, current].map(({ jwk }) => [jwk['kid'], jwk]))
  return {
    jwks: { keys: [...published.values()].reverse() },
    sign(claims, { audience, expiresAt }) {
      const now = Math.floor(clock.now() / 1000)
      const expiration = Math.min(now + MAX_LIFE, Math.floor(expiresAt))
      return (
        new SignJWT(JSON.parse(claims) as JsonObject)
          .setProtectedHeader({ alg, kid, typ: 'JWT' })
          .setIssuer(issuer)
          .setAudience(audience)
          // a token is taken for some seconds after its end, and nothing may end before it was issued
          .setIssuedAt(Math.min(now, expiration))
          .setExpirationTime(expiration)
          .setJti(randomUUID())
          .sign(privateKey)
      )
    },
  }
}

function readable(name: string, text: string, wants: 'private' | 'public'): JwtKey {
  const read = readJwtKey(text, wants)
  if (typeof read === 'string') throw unusable(name, read)
  return read
}

function unusable(name: string, why: string): ProxyError {
  return new ProxyError('CONFIG_INVALID', `${name} ${why}`, {
    hint: 'Give a private key that signs: PEM or JWK; EC P-256, RSA of 2048 bits or more, or Ed25519.',
  })
}

function madeKey(): JwtKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return readable(
    'identity.key',
    privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    'private',
  )
}

/**
 * Returns the public URL of the proxy, which stands before the path of its MCP endpoint: the issuer of
 * identities.
 */
export function identityIssuer(resource: string, path: string): string {
  const own = path === '/' ? '' : path
  const base = resource.endsWith(own) ? resource.slice(0, resource.length - own.length) : resource
  return base.replace(/\/$/, '')
}
