import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { keyIsMissing } from '../../auth/oauth/proof-keys.js'
import { numberMember } from '../../auth/tokens/store/record.js'
import { bindingOf, type TokenRecord } from '../../auth/tokens/token-store.js'
import { readUnverifiedClaims } from '../../auth/verify/claims.js'
import type { SignInDeps } from '../../sign-in/flow.js'
import { ProxyError } from '../../util/errors.js'
import { stringMember } from '../../util/json.js'
import type { Runtime } from '../../util/runtime.js'

/** Calls back with each line that is typed or pasted; returns a function that stops reading. */
export function pastedLines(stdin: Readable, listener: (line: string) => void): () => void {
  const lines = createInterface({ input: stdin, terminal: false })
  lines.on('line', (line) => {
    if (line.trim() !== '') listener(line)
  })
  return () => {
    lines.close()
    stdin.pause()
  }
}

/**
 * Stores an access token that the user got elsewhere. It cannot be refreshed, and its expiry is known
 * only if it is a JWT with `exp`.
 *
 * @throws {ProxyError} `USAGE` when stdin holds no token.
 */
export async function readToken(
  { io, clock }: Pick<Runtime, 'io' | 'clock'>,
  { target, store }: Pick<SignInDeps, 'target' | 'store'>,
): Promise<TokenRecord> {
  let text = ''
  for await (const chunk of io.stdin) {
    text += String(chunk)
    if (text.length > 100_000) break
  }
  const accessToken = text.trim().replace(/^Bearer\s+/i, '')
  if (!/^[\w.~+/=-]{8,65536}$/.test(accessToken)) {
    throw new ProxyError('USAGE', 'stdin holds no access token', {
      hint: 'Run `mcp-descope-proxy login --with-token < token.txt`.',
    })
  }
  const claims = readUnverifiedClaims(accessToken)
  if (claims['cnf'] !== undefined) throw keyIsMissing()
  const scope = stringMember(claims, 'scope')
  const binding = bindingOf(target)
  const record: TokenRecord = {
    binding,
    target: target.name,
    issuer: stringMember(claims, 'iss') ?? 'unknown',
    metadataUrl: undefined,
    resource: undefined,
    client: {
      id: stringMember(claims, 'azp') ?? stringMember(claims, 'client_id') ?? 'unknown',
      secret: undefined,
      authMethod: 'none',
      source: 'static',
      redirectUris: [],
    },
    accessToken,
    refreshToken: undefined,
    requestedScope: scope,
    scope,
    receivedAt: Math.floor(clock.now() / 1_000),
    expiresAt: numberMember(claims, 'exp'),
  }
  await store.exclusively(binding, () => store.save(record))
  return record
}
