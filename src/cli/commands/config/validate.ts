import { readSettings } from '../../../config/load.js'
import type { Flags } from '../../../config/settings.js'
import { isObject } from '../../../util/json.js'
import type { Runtime } from '../../../util/runtime.js'
import { createColors } from '../../colors.js'
import { reportFindings } from './display.js'

/**
 * Checks the configuration as `serve` would see it, or one file alone, with each of its profiles.
 *
 * @throws {ConfigError} `CONFIG_INVALID` when something is wrong.
 */
export function validateConfig(
  runtime: Runtime,
  file: string | undefined,
  flags: Flags,
  { json }: { json: boolean },
): void {
  const fileOnly = file !== undefined
  const given = fileOnly ? { ...flags, config: file } : flags
  const read = (more: Flags = {}) =>
    readSettings(runtime, { flags: { ...given, ...more }, for: 'report', fileOnly })
  const first = read()
  const profiles = first.file?.content['profiles']
  const names = given.profile === undefined && isObject(profiles) ? Object.keys(profiles) : []
  const all = [first, ...names.map((profile) => read({ profile }))]
  const problems = [...new Set(all.flatMap((settings) => settings.problems))]
  const warnings = [...new Set(all.flatMap((settings) => settings.warnings))]
  const missing = fileOnly ? [] : first.missing
  if (json) {
    const checked = { valid: problems.length === 0, file: first.file?.path ?? null }
    runtime.io.out(`${JSON.stringify({ ...checked, problems, warnings, missing })}\n`)
  } else if (problems.length === 0) {
    const { green } = createColors(runtime, 'out')
    const what = first.file?.shown ?? 'The configuration (without a file)'
    const more = names.length > 0 ? `, with the profiles ${names.join(', ')}` : ''
    runtime.io.out(`${green('valid:')} ${what}${more}\n`)
  }
  reportFindings(runtime, { problems, warnings, missing }, { json })
}
