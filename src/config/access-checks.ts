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
