import { isResource } from '../../auth/audience.js'
import { acceptsIssuer, parseConfigUrl } from '../../auth/descope/descope.js'
import { checkClaims, toPrincipal } from '../../auth/verify/claims.js'
import { TokenError, type TokenErrorReason } from '../../auth/verify/token-error.js'
import { peekClaims } from '../../auth/verify/unverified-claims.js'
import type { Clock } from '../../util/runtime.js'
import { fail, pass, type Verdict } from '../check.js'
import type { DescopeSettings } from './descope.js'

/** What a token for our own MCP endpoint has to be like. */
export interface TokenRules extends DescopeSettings {
  /** The public MCP URL. */
  readonly resource: string
  readonly audience: readonly string[]
  readonly requiredScopes: readonly string[]
}

/** Says whether `serve` would take a token, but for its signature, and what to set if not. */
export function judgeOwnToken(
  token: string,
  { configUrl, issuers, resource, audience, requiredScopes }: TokenRules,
  clock: Pick<Clock, 'now'>,
): Verdict {
  const claims = peekClaims(token)
  const isOurs = isResource(resource)
  try {
    checkClaims(claims, clock.now() / 1_000, {
      acceptsIssuer: acceptsIssuer(parseConfigUrl(configUrl), issuers),
      acceptsAudience: (candidate) => isOurs(candidate) || audience.includes(candidate),
      expectedAudience: resource,
    })
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    const received = error.details?.['receivedAudience'] ?? error.details?.['receivedIssuer']
    const detail = received === undefined ? error.message : `${error.message}: ${received}`
    return fail(detail, hintOf(error.reason, resource), 'CREDENTIAL_REFUSED')
  }
  const { scopes } = toPrincipal(claims)
  const missing = requiredScopes.filter((scope) => !scopes.has(scope))
  if (missing.length === 0) return pass(`client credentials work, aud has ${resource}`)
  return fail(
    `the token lacks the scopes ${missing.join(' ')}`,
    'In Descope, add them to the MCP server, and allow them to the client by a Policy (Agentic Identity Hub > Policies).',
    'CREDENTIAL_REFUSED',
  )
}

function hintOf(reason: TokenErrorReason, resource: string): string {
  switch (reason) {
    case 'wrong_audience':
      return `In Descope, set the MCP Server URL of the MCP server to ${resource}, or name the audience in descope.audience.`
    case 'wrong_issuer':
      return 'Use the Discovery URL of the MCP server that the client belongs to, or name the issuer in descope.issuers.'
    default:
      return 'Check the clock here, and the token settings of the MCP server in Descope.'
  }
}
