import { createRedactor, isSecretName, isShortSecret } from '../util/redact.js'
import { splitOnce } from '../util/text.js'
import type { LoadedConfig, Settings } from './load.js'
import { findSetting } from './settings.js'

export const REDACTED = '[redacted]'

/** Creates a function that returns a setting's value without any secret, for reports. */
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

/** Redacts what may be secret in a URL: user name and password, query values, the fragment. */
function cleanUrl(text: string): string {
  if (!text.includes('://')) return text
  return text
    .replace(/:\/\/[^/@?#\s]*@/g, `://${REDACTED}@`)
    .replace(/\?[^#\s]*/g, (query) => `?${query.slice(1).split('&').map(cleanParameter).join('&')}`)
    .replace(/#\S+/g, `#${REDACTED}`)
}

/** Warns of secrets that are too short to be found, and so redacted, in logs and reports. */
export function warnOfShortSecrets({ origins }: Pick<LoadedConfig, 'origins'>): string[] {
  return [...origins]
    .filter(([key, { value }]) => {
      return findSetting(key)?.secret && typeof value === 'string' && isShortSecret(value)
    })
    .map(([key, { from }]) => warnOfShortSecret(key, from))
}

/** @param from Origin of the secret, as messages show it. */
export function warnOfShortSecret(name: string, from: string): string {
  return `${name} is too short to be redacted in logs (${from}) — use a secret of 16 characters or more`
}

/** Values this short are shown: they are switches such as `v=2`, and help to find a mistake. */
const HARMLESS = 3

export function cleanParameter(text: string): string {
  const [name, value] = splitOnce(text, '=')
  if (!value) return name.length > HARMLESS ? REDACTED : text
  return value.length > HARMLESS || isSecretName(name) ? `${name}=${REDACTED}` : text
}
