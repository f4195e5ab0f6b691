import {
  checkClaims,
  isResource,
  readUnverifiedClaims,
  toPrincipal,
} from '../auth/verify/claims.js'
import { TokenError } from '../auth/verify/token-error.js'
import { isObject, type JsonObject } from '../util/json.js'
import { describeTool, type Findings } from './check.js'
import type { Probe } from './probe.js'

/** Collects the findings of the checks, without further requests. */
export async function readFindings(
  probe: Probe,
  clean: (text: string, isName?: boolean) => string,
): Promise<Findings> {
  const tools = probe.seen
    .filter(({ method }) => method === 'tools/list')
    .flatMap(({ result }) => (Array.isArray(result['tools']) ? result['tools'] : []))
    .filter(isObject)
    .map(describeTool)
    .map(({ name, signature, readOnly }) => {
      return { name: clean(name, true), signature: clean(signature, true), readOnly }
    })
  const hasTalked = probe.seen.length > 0
  const session = hasTalked ? (await probe.handshake().catch(() => undefined))?.session : undefined
  const { claims, problem } = await readClaims(probe, clean)
  return {
    server: session?.server === undefined ? null : clean(session.server),
    capabilities: Object.keys(session?.capabilities ?? {}).map((name) => clean(name, true)),
    tools,
    claims,
    claimsProblem: problem,
  }
}

async function readClaims(probe: Probe, clean: (text: string) => string) {
  const proof = await probe.knownProof()
  const claims = proof?.token === undefined ? {} : readUnverifiedClaims(proof.token)
  if (Object.keys(claims).length === 0) return { claims: null, problem: null }
  const shown = JSON.parse(clean(JSON.stringify(claims))) as JsonObject
  return { claims: shown, problem: await problemOf(probe, claims) }
}

/** Judges a token as a conforming server does, except for its signature. */
async function problemOf(probe: Probe, claims: JsonObject): Promise<string | null> {
  const { clock, url, resource, server } = probe
  const expectedAudience = resource?.resource ?? url.href
  const project = server?.issuer.replace(/\/agentic(\/P[^/]+)\/[^/]+$/, '$1')
  try {
    checkClaims(claims, clock.now() / 1_000, {
      expectedAudience,
      acceptsAudience: isResource(expectedAudience),
      acceptsIssuer: (issuer) =>
        server === undefined || issuer === server.issuer || issuer === project,
    })
    const wanted = (await probe.challenge())?.scope?.split(' ') ?? []
    const { scopes } = toPrincipal(claims)
    const missing = wanted.filter((scope) => scope !== '' && !scopes.has(scope))
    return missing.length === 0 ? null : `The access token lacks the scopes ${missing.join(' ')}`
  } catch (error) {
    if (error instanceof TokenError) return error.message
    throw error
  }
}
