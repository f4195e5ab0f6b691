import type { Principal } from '../../auth/principal.js'
import { BoundedMap } from '../../util/bounded-map.js'
import type { JsonObject } from '../../util/json.js'
import { createGlobMatcher, globsMeet } from '../../util/text.js'
import {
  createPolicy,
  type Decision,
  isListed,
  type Rule,
  type ToolPolicy,
  type ToolRules,
} from './policy.js'
import {
  globOfTemplate,
  MAX_URI_LENGTH,
  readingsOfUri,
  type UriReadings,
  writingsOfPattern,
} from './uri-readings.js'

export interface ResourcePolicy extends ToolPolicy {
  /**
   * Decides on a template: it is there for whoever may use one of the URIs that it leads to. Whoever
   * uses one is asked again.
   *
   * @param known Values of its variables.
   */
  decideTemplate(template: string, principal: Principal | undefined, known?: JsonObject): Decision
  /** Tells whether everything that a template leads to is in the caller's list. */
  isWhollyListed(template: string, principal: Principal | undefined, known?: JsonObject): boolean
}

const ONLY_STARS = /^\*+$/

/** URIs whose readings are kept: lists and reads use the same ones again. */
const MAX_KEPT = 2_000

const MAX_KEPT_LENGTH = 256

/**
 * Creates the policy of a target's resources, over its own URIs. What restricts a resource holds for all
 * that its URI may be taken for; what allows it holds for the URI as it is written, and for one with `..`
 * only where it is written out.
 */
export function createResourcePolicy(config: ToolRules): ResourcePolicy {
  const policy = createPolicy('resources', config, writingsOfPattern)
  const { isOpen, notAllowed, restrict } = policy
  const isAllowed = createGlobMatcher(config.allow)
  const allowsAll = config.allow.some((pattern) => ONLY_STARS.test(pattern))
  const unreadable: Decision = { allowed: false, hidden: true, rule: 'resources' }

  const kept = new BoundedMap<string, UriReadings>(MAX_KEPT)

  function readingsOf(uri: string): UriReadings | undefined {
    const known = kept.get(uri)
    if (known !== undefined) return known
    const readings = readingsOfUri(uri)
    if (readings !== undefined && uri.length <= MAX_KEPT_LENGTH) kept.set(uri, readings)
    return readings
  }

  function decide(uri: string, principal: Principal | undefined): Decision {
    if (isOpen) return { allowed: true }
    if (!isAllowed(uri)) return notAllowed
    const readings = readingsOf(uri)
    if (readings === undefined) return unreadable
    if (readings.climbs && !allowsAll && !config.allow.includes(uri)) return notAllowed
    return restrict((rule) => readings.texts.some(rule.matches), principal)
  }

  return {
    ...policy,
    decide,

    decideTemplate(template, principal, known) {
      if (isOpen) return { allowed: true }
      if (template.length > MAX_URI_LENGTH) return unreadable
      const { glob, isWhole } = globOfTemplate(template, known)
      if (isWhole) return decide(glob, principal)
      if (!config.allow.some((pattern) => globsMeet(pattern, glob))) return notAllowed
      const readings = readingsOf(glob)
      if (readings === undefined) return unreadable
      if (readings.climbs && !allowsAll) return notAllowed
      // a glob that matches another one as text matches all that fits it
      return restrict((rule) => readings.texts.some(rule.matches), principal)
    },

    isWhollyListed(template, principal, known) {
      if (isOpen) return true
      if (template.length > MAX_URI_LENGTH) return false
      const { glob, isWhole } = globOfTemplate(template, known)
      if (isWhole) return isListed(decide(glob, principal))
      const readings = readingsOf(glob)
      if (readings === undefined || !isAllowed(glob)) return false
      const isMet = ({ patterns }: Rule) =>
        patterns.some((pattern) => readings.texts.some((text) => globsMeet(pattern, text)))
      return isListed(restrict(isMet, principal))
    },
  }
}
