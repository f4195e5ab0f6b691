import { ConfigError, type Settings } from '../../../config/load.js'
import { createColors } from '../../../util/colors.js'
import type { Runtime } from '../../../util/runtime.js'

/** Writes a value for people: lists with commas, nothing as `-`. */
export function displayValue(value: unknown): string {
  if (value === null || value === undefined || value === '') return value === '' ? '""' : '-'
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(displayValue).join(', ')
  if (typeof value !== 'object') return String(value)
  return Object.keys(value).length === 0 ? '-' : JSON.stringify(value)
}

/**
 * Says on stderr what is odd or still missing.
 *
 * @throws {ConfigError} `CONFIG_INVALID` when there are problems.
 */
export function reportFindings(
  runtime: Runtime,
  { warnings, missing, problems }: Pick<Settings, 'warnings' | 'missing' | 'problems'>,
  { json }: { json: boolean },
): void {
  if (!json) {
    const { yellow, cyan } = createColors(runtime, 'err')
    for (const warning of warnings) runtime.io.err(`${yellow('warning:')} ${warning}\n`)
    for (const item of missing) {
      runtime.io.err(`${cyan('note:')} serve would not start: ${item}\n`)
    }
  }
  if (problems.length > 0) {
    throw new ConfigError(problems, 'Correct it, then run `mcp-descope-proxy config validate`.')
  }
}
