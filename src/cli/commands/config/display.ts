import { ConfigError, type Settings } from '../../../config/load.js'
import { findSetting } from '../../../config/settings.js'
import { createRedactor, isSecretName } from '../../../util/redact.js'
import type { Runtime } from '../../../util/runtime.js'
import { splitOnce } from '../../../util/text.js'
import { createColors } from '../../colors.js'

const REDACTED = '[redacted]'

/** Creates a function that gives a setting's value without any secret, for programs. */
export function createPublicValue({ secrets }: Pick<Settings, 'secrets'>) {
  const redact = createRedactor(secrets, { wholeUrls: true })
  const clean = (value: unknown): unknown => {
    if (typeof value === 'string') return redact(cleanUrl(value))
    if (Array.isArray(value)) return value.map(clean)
    if (typeof value !== 'object' || value === null) return value ?? null
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, clean(item)]))
  }
  return (key: string, value: unknown): unknown => {
    const isSet = value !== undefined && !(Array.isArray(value) && value.length === 0)
    return findSetting(key)?.secret && isSet ? REDACTED : clean(value)
  }
}

/** Whoever looks for a mistake wants to see which parameters a URL has, and switches such as `v=2`. */
const HARMLESS = 3

/** Covers what a URL may hold besides the place: a password, and what in its query may be a key. */
function cleanUrl(text: string): string {
  if (!text.includes('://')) return text
  return text
    .replace(/:\/\/[^/@?#\s]*@/g, `://${REDACTED}@`)
    .replace(/\?[^#\s]*/g, (query) => `?${query.slice(1).split('&').map(cleanParameter).join('&')}`)
    .replace(/#\S+/g, `#${REDACTED}`)
}

function cleanParameter(text: string): string {
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
