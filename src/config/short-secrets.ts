import { isShortSecret } from '../util/redact.js'
import type { LoadedConfig } from './load.js'
import { findSetting } from './settings.js'

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
