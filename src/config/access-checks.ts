import { isObject } from '../util/json.js'
import type { Resolution } from './resolve.js'
import type { ConfigUse } from './types.js'

/** What restricts callers, in `access` and in the rules for tools, prompts and resources. */
const OF_CALLERS = ['tenants', 'roles', 'permissions', 'scopes'] as const

const SECTIONS = ['tools', 'prompts', 'resources'] as const

const ALL = /^\*+$/

/** Adds warnings about a target that is open where that can hardly be meant, or closed to everybody. */
export function checkAccess(target: string, resolution: Resolution, use: ConfigUse): void {
  const { values, warnings } = resolution
  const given = (member: string) => {
    const found = values.get(`targets.${target}.${member}`)
    return found === undefined || found.from === 'default' ? undefined : found
  }
  const restricting = OF_CALLERS.map((member) => given(`access.${member}`)).find(Boolean)
  const withoutSignIn = values.get('server.insecureNoAuth')
  if (restricting !== undefined && use === 'stdio') {
    warnings.push(
      `Nobody is admitted to the target "${target}": in stdio, callers have no tenants, roles, permissions and scopes (${restricting.from}) — leave out "access", or connect to it through serve`,
    )
  } else if (restricting !== undefined && withoutSignIn?.value === true) {
    warnings.push(
      `Nobody is admitted to the target "${target}": without sign-in, callers have no tenants, roles, permissions and scopes (${restricting.from}, ${withoutSignIn.from}) — leave out "access", or leave sign-in on`,
    )
  }
  for (const member of OF_CALLERS) {
    const odd = entriesOf(given(`access.${member}`)?.value).find((entry) => isOdd(entry, member))
    if (odd === undefined) continue
    warnings.push(
      `Nobody has what targets.${target}.access.${member} asks for with ${JSON.stringify(odd)} (${given(`access.${member}`)?.from}) — write each entry as the token has it: access takes no patterns, and spaces belong to no scope`,
    )
  }
  if (restricting !== undefined) return
  const isRestricted = (section: string) => {
    const ruleOf = (member: string) => given(`${section}.${member}`)?.value
    const [allow, ...others] = ['allow', 'deny', ...OF_CALLERS].map(ruleOf)
    const isNarrow = Array.isArray(allow) && !allow.includes('*')
    return isNarrow || others.some((value) => Object.keys(value ?? {}).length > 0)
  }
  const open = SECTIONS.filter((section) => !isRestricted(section))
  for (const section of SECTIONS) {
    for (const member of ['roles', 'permissions', 'tenants']) {
      const rules = given(`${section}.${member}`)
      const isForAll =
        isObject(rules?.value) && Object.keys(rules.value).some((key) => ALL.test(key))
      if (rules === undefined || !isForAll || open.length === 0) continue
      const rest =
        open.length === SECTIONS.length - 1
          ? `the rest of it: its ${open.join(', ')}, instructions and notifications`
          : `its ${open.join(' and ')}`
      warnings.push(
        `Only some callers may use the ${section} of the target "${target}", and all may use ${rest} (${rules.from}) — write "access": {"${member}": [...]} in place of ${section}.${member} {"*": [...]}`,
      )
      return
    }
  }
}

const entriesOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** Entries are compared as they are, so that such a one can hardly be meant. */
function isOdd(entry: unknown, member: (typeof OF_CALLERS)[number]): boolean {
  if (typeof entry !== 'string') return false
  return entry !== entry.trim() || ALL.test(entry) || (member === 'scopes' && /\s/.test(entry))
}
