import { createRedactor, isSecretName, isShortSecret } from '../util/redact.js'
import { splitOnce } from '../util/text.js'
import type { LoadedConfig, Settings } from './load.js'
import { findSetting } from './settings.js'

export const REDACTED = '[redacted]'

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

/** Covers what a URL may hold besides the place: a password, and what in its query may be a key. */
function cleanUrl(text: string): string {
  if (!text.includes('://')) return text
  return text
    .replace(/:\/\/[^/@?#\s]*@/g, `://${REDACTED}@`)
    .replace(/\?[^#\s]*/g, (query) => `?${query.slice(1).split('&').map(cleanParameter).join('&')}`)
    .replace(/#\S+/g, `#${REDACTED}`)
}

/** Says which secrets are so short that logs and reports cannot tell them from other words. */
export function warnOfShortSecrets({ origins }: Pick<LoadedConfig, 'origins'>): string[] {
  return [...origins]
    .filter(([key, { value }]) => {
      return findSetting(key)?.secret && typeof value === 'string' && isShortSecret(value)
    })
    .map(([key, { from }]) => warnOfShortSecret(key, from))
}

/** @param from Where it came from, for people. */
export function warnOfShortSecret(name: string, from: string): string {
  return `${name} is so short that logs cannot tell it from other words (${from}) — use a secret of 16 characters or more`
}

/** Whoever looks for a mistake wants to see which parameters a URL has, and switches such as `v=2`. */
const HARMLESS = 3

export function cleanParameter(text: string): string {
  const [name, value] = splitOnce(text, '=')
  if (!value) return name.length > HARMLESS ? REDACTED : text
  return value.length > HARMLESS || isSecretName(name) ? `${name}=${REDACTED}` : text
}
