import { isObject } from '../util/json.js'
import type { Resolution } from './resolve.js'
import type { ConfigUse } from './types.js'

/** What restricts callers, in `access` and in the rules for tools, prompts and resources. */
const OF_CALLERS = ['tenants', 'roles', 'permissions', 'scopes'] as const

const ALL = /^\*+$/

/** Adds warnings about a target that is open where that can hardly be meant, or closed to everybody. */
export function checkAccess(target: string, resolution: Resolution, use: ConfigUse): void {
  const { values, warnings } = resolution
  const given = (member: string) => {
    const found = values.get(`targets.${target}.${member}`)
    return found === undefined || found.from === 'default' ? undefined : found
  }
  const restricting = OF_CALLERS.map((member) => given(`access.${member}`)).find(Boolean)
  const open = values.get('server.insecureNoAuth')
  if (restricting !== undefined && use === 'stdio') {
    warnings.push(
      `Nobody is admitted to the target "${target}": in stdio, callers have no tenants, roles, permissions and scopes (${restricting.from}) — leave out "access", or connect to it through serve`,
    )
  } else if (restricting !== undefined && open?.value === true) {
    warnings.push(
      `Nobody is admitted to the target "${target}": without sign-in, callers have no tenants, roles, permissions and scopes (${restricting.from}, ${open.from}) — leave out "access", or leave sign-in on`,
    )
  }
  for (const member of OF_CALLERS) {
    const odd = entriesOf(given(`access.${member}`)?.value).find((entry) => isOdd(entry, member))
    if (odd === undefined) continue
    warnings.push(
      `Nobody has what targets.${target}.access.${member} asks for with ${JSON.stringify(odd)} (${given(`access.${member}`)?.from}) — write each entry as the token has it: access takes no patterns, and spaces belong to no scope`,
    )
  }
  const stepUp = given('tools.stepUp')
  if (Array.isArray(stepUp?.value) && stepUp.value.length > 0 && open?.value === true) {
    warnings.push(
      `Nobody can call the tools in tools.stepUp of the target "${target}": without sign-in, no caller has had a step-up (${stepUp.from}, ${open.from}) — leave "stepUp" out, or leave sign-in on`,
    )
  }
  if (restricting !== undefined) return
  for (const member of ['roles', 'permissions', 'tenants']) {
    const rules = given(`tools.${member}`)
    const isForAll = isObject(rules?.value) && Object.keys(rules.value).some((key) => ALL.test(key))
    if (rules === undefined || !isForAll) continue
    warnings.push(
      `Only some callers may use the tools of the target "${target}", and all may use the rest of it: its prompts, resources, instructions and notifications (${rules.from}) — write "access": {"${member}": [...]} in place of tools.${member} {"*": [...]}`,
    )
    return
  }
}

const entriesOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** Entries are compared as they are, so that such a one can hardly be meant. */
function isOdd(entry: unknown, member: (typeof OF_CALLERS)[number]): boolean {
  if (typeof entry !== 'string') return false
  return entry !== entry.trim() || ALL.test(entry) || (member === 'scopes' && /\s/.test(entry))
}
