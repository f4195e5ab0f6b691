import type { Resolution } from './resolve.js'
import { isVercel, type Variables } from './sources.js'

/** Adds problems about the audit trail. */
export function checkAudit(resolution: Resolution, env: Variables): void {
  const { values, problems, warnings, invalid } = resolution
  const given = (key: string) => {
    const found = values.get(key)
    return found === undefined || found.from === 'default' ? undefined : found
  }
  const isOn = (key: string) => values.get(key)?.value === true
  const file = given('audit.file')
  if (file?.value !== undefined && isVercel(env)) {
    problems.push(
      `audit.file is set, and no file outlives a request on Vercel (${file.from}) — leave it out, and set audit.stdout or audit.descope`,
    )
  }
  const descope = given('audit.descope')
  if (descope?.value === true) {
    for (const [key, how] of NEEDED) {
      if (values.get(key)?.value !== undefined || invalid.has(key)) continue
      problems.push(`audit.descope is on, and ${key} is not set (${descope.from}) — ${how}`)
    }
  }
  if (file !== undefined || invalid.has('audit.file')) return
  if (isOn('audit.stdout') || isOn('audit.descope')) return
  for (const key of ['audit.arguments', 'audit.key']) {
    const stray = given(key)
    if (stray === undefined || stray.value === false) continue
    warnings.push(
      `${key} is set, and no audit records are written (${stray.from}) — set audit.file, audit.stdout or audit.descope`,
    )
  }
}

const NEEDED = [
  [
    'descope.managementKey',
    'set MCP_DESCOPE_DESCOPE_MANAGEMENT_KEY to a management key of the project',
  ],
  ['descope.configUrl', 'set DESCOPE_CONFIG_URL, or leave audit.descope off'],
] as const
