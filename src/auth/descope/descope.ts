import type { DescopeProject } from '../../util/descope-url.js'

export { type DescopeProject, parseConfigUrl } from '../../util/descope-url.js'

/**
 * Returns a function that tells whether an issuer belongs to the project: `{base}/v1/apps/{P}`,
 * the same with a tenant, and the agentic form, where a known server id must be ours.
 *
 * The comparison is by characters. `extraIssuers` are accepted as they are.
 */
export function acceptsIssuer(
  project: Pick<DescopeProject, 'base' | 'projectId' | 'serverId'>,
  extraIssuers: readonly string[] = [],
): (issuer: string) => boolean {
  const { base, projectId, serverId } = project
  const projectIssuer = `${base}/v1/apps/${projectId}`
  const agenticPrefix = `${base}/v1/apps/agentic/${projectId}/`
  const exact = new Set([projectIssuer, ...extraIssuers])
  return (issuer) => {
    if (exact.has(issuer)) return true
    const server = segmentAfter(agenticPrefix, issuer)
    if (server !== undefined) return serverId === undefined || server === serverId
    return segmentAfter(`${projectIssuer}/`, issuer) !== undefined
  }
}

/** Returns what follows the prefix when that is exactly one path segment. */
function segmentAfter(prefix: string, issuer: string): string | undefined {
  if (!issuer.startsWith(prefix)) return undefined
  const rest = issuer.slice(prefix.length)
  return /^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$/.test(rest) ? rest : undefined
}
