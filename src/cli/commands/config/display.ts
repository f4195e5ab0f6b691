import { ConfigError, type Settings } from '../../../config/load.js'
import { REDACTED } from '../../../config/public-value.js'
import { isSecretName } from '../../../util/redact.js'
import type { Runtime } from '../../../util/runtime.js'
import { splitOnce } from '../../../util/text.js'
import { createColors } from '../../colors.js'

/** Whoever looks for a mistake wants to see which parameters a URL has, and switches such as `v=2`. */
const HARMLESS = 3

export function cleanParameter(text: string): string {
  const [name, value] = splitOnce(text, '=')
  if (!value) return name.length > HARMLESS ? REDACTED : text
  return value.length > HARMLESS || isSecretName(name) ? `${name}=${REDACTED}` : text
}

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
