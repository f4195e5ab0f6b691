import { trimSlashes } from '../util/text.js'
import { pathOf } from './endpoints.js'
import type { Resolution } from './resolve.js'

/** First segments of paths that mean something else, here or at many a load balancer. */
const RESERVED_NAMES = new Set(['healthz', 'readyz', 'metrics'])

/** Adds problems about endpoints of targets. */
export function checkEndpoints(resolution: Resolution): void {
  const { values, targets, problems, invalid } = resolution
  const endpoints = values.get('server.endpoints')
  if (endpoints === undefined || invalid.has('server.endpoints')) return
  const { value: which, from } = endpoints
  if (which === 'merged') {
    for (const target of targets) {
      const key = `targets.${target}.descope.configUrl`
      const own = values.get(key)
      if (own === undefined || own.from === 'default') continue
      problems.push(
        `${key} is that of an endpoint of its own, and server.endpoints is merged (${own.from}, ${from}) — write "each" or "both" in server.endpoints, or leave it out`,
      )
    }
    return
  }
  const path = String(values.get('server.path')?.value ?? '/mcp')
  for (const target of targets) {
    if (!RESERVED_NAMES.has(target.toLowerCase())) continue
    problems.push(
      `The target "${target}" would have its endpoint at ${pathOf(target, path)}, and /${target} means something else (${from}) — give it another name`,
    )
  }
  checkAudience(resolution, which, from, (url) =>
    targets.some((target) => trimSlashes(url).endsWith(pathOf(target, path))),
  )
}

/** An audience that tokens of one endpoint have would let them in at another one. */
function checkAudience(
  { values, problems }: Resolution,
  which: unknown,
  from: string,
  isOfTarget: (url: string) => boolean,
): void {
  const audience = values.get('descope.audience')
  const listed = Array.isArray(audience?.value) ? audience.value.map(String) : []
  if (listed.length === 0) return
  if (which === 'each') {
    problems.push(
      `descope.audience applies only to the endpoint of all targets, and server.endpoints is each (${audience?.from}, ${from}) — leave it out: a token must be for the URL of its endpoint`,
    )
    return
  }
  const id = listed.find((item) => !/^https?:\/\//i.test(item) || isOfTarget(item))
  if (id === undefined) return
  problems.push(
    `descope.audience has ${JSON.stringify(id)}, which tokens of the targets' own endpoints may have too (${audience?.from}, ${from}) — leave it out, or write "merged" in server.endpoints`,
  )
}
