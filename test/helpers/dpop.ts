import { createHash, randomUUID } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'

/** A key of a DPoP client. */
export interface ProofKey {
  readonly jwk: JWK
  readonly privateJwk: JWK
  readonly jkt: string
  /** Signs a proof for a request with a token; what is `undefined` in `changes` is left out. */
  prove(request: Proven, changes?: ProofChanges): Promise<string>
}

interface Proven {
  token: string
  url: string
  method?: string
  /** Milliseconds since the epoch. */
  now?: number
}

interface ProofChanges {
  header?: Record<string, unknown>
  claims?: Record<string, unknown>
}

export async function createProofKey(alg = 'ES256'): Promise<ProofKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  return {
    jwk,
    privateJwk: await exportJWK(privateKey),
    jkt: await calculateJwkThumbprint(jwk),
    prove({ token, url, method = 'POST', now = Date.now() }, { header, claims } = {}) {
      const payload = {
        ...{ htm: method, htu: url, jti: randomUUID(), iat: Math.floor(now / 1000) },
        ath: createHash('sha256').update(token).digest('base64url'),
        ...claims,
      }
      return new SignJWT(payload)
        .setProtectedHeader({ alg, typ: 'dpop+jwt', jwk, ...header })
        .sign(privateKey)
    },
  }
}

/** Writes a JWT that nobody signed. */
export function unsignedProof(header: unknown, claims: unknown, signature = 'AAAA'): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part(header)}.${part(claims)}.${signature}`
}
