import { readSettings, type Settings } from '../../../config/load.js'
import { createPublicValue, REDACTED } from '../../../config/public-value.js'
import type { Flags } from '../../../config/settings.js'
import { wrap } from '../../../diagnose/reporters/text.js'
import type { RuleSettings } from '../../../gateway/rules/rules.js'
import { createColors } from '../../../util/colors.js'
import { isObject, ownMember } from '../../../util/json.js'
import type { Runtime } from '../../../util/runtime.js'
import { displayValue, reportFindings } from './display.js'

const GAP = '  '

/** Most origins are shorter; one that is longer moves nothing. */
const ORIGIN_WIDTH = 26

const MIN_VALUE_WIDTH = 12

/**
 * Prints every setting with its value and its origin.
 *
 * @throws {ConfigError} `CONFIG_INVALID`, after the table, when settings are wrong.
 */
export function showConfig(runtime: Runtime, flags: Flags, { json }: { json: boolean }): void {
  const settings = readSettings(runtime, { flags, for: 'report' })
  const publicValue = createPublicValue(settings)
  // the value of a variable may be confidential, so its name is shown instead
  const asWritten = (key: string, shown: unknown) =>
    keepRedacted(shown, publicValue(key, settings.raws.get(key)?.[0]?.value))
  const rows = [...settings.values].map(([key, { value, from, parts }]) => ({
    key,
    value: parts === undefined ? publicValue(key, value) : asWritten(key, publicValue(key, value)),
    from,
    isInvalid: settings.invalid.has(key),
  }))
  if (json) {
    const entries = rows.map(({ key, value, from }) => [key, { value, origin: from }])
    const document = { settings: Object.fromEntries(entries), file: settings.file?.path ?? null }
    runtime.io.out(`${JSON.stringify(document)}\n`)
  } else {
    const { dim, red } = createColors(runtime, 'out')
    const shown = rows.filter((row) => !isIdle(row))
    const table = layOut(
      shown.map(({ key, value, from, isInvalid }) => [
        key,
        isInvalid ? '(invalid)' : displayValue(value),
        from,
      ]),
      runtime.io.columns,
      runtime.io.outIsTty,
    )
    const lines = table.map((line, index) => {
      if (shown[index]?.isInvalid) return red(line)
      return shown[index]?.from === 'default' ? dim(line) : line
    })
    runtime.io.out(`${lines.join('\n')}\n`)
  }
  reportFindings(runtime, settings, { json })
}

/** Returns what is written, except where the value itself is shown redacted. */
function keepRedacted(shown: unknown, written: unknown): unknown {
  if (isObject(shown) && isObject(written)) {
    const members = Object.entries(shown).map(([name, item]) => [
      name,
      keepRedacted(item, ownMember(written, name) ?? item),
    ])
    return Object.fromEntries(members)
  }
  return typeof shown === 'string' && shown.includes(REDACTED) ? shown : written
}

/** A setting of a target that is unset and so has no effect. */
const isIdle = ({ key, value, from }: { key: string; value: unknown; from: string }) =>
  from === 'default' &&
  key.startsWith('targets.') &&
  (displayValue(value) === '-' ||
    /\.(credential\.by|identity\.claims|(prompts|resources)\.\w+)$/.test(key))

type Cells = readonly [key: string, value: string, origin: string]

/**
 * Aligns the columns; a longer value gets a line of its own. Nothing is ever cut: at a terminal, what
 * does not fit beside its key goes below it.
 */
function layOut(rows: readonly Cells[], columns: number, isTty: boolean): string[] {
  const keyWidth = Math.max(...rows.map(([key]) => key.length))
  const left = columns - keyWidth - ORIGIN_WIDTH - 2 * GAP.length
  const widest = Math.max(...rows.map(([, value]) => value.length))
  const valueWidth = Math.max(MIN_VALUE_WIDTH, Math.min(left, widest))
  const below = (text: string) =>
    isTty ? wrap(text, columns - GAP.length).map((line) => `${GAP}${line}`) : [`${GAP}${text}`]
  return rows.map(([key, value, origin]) => {
    const fits = value.length <= valueWidth
    const cells = [key.padEnd(keyWidth), (fits ? value : '').padEnd(valueWidth), origin]
    const line = cells.join(GAP)
    if (isTty && line.length > columns) {
      return [key, ...below(value), ...below(origin)].join('\n')
    }
    return fits ? line : [line, ...below(value)].join('\n')
  })
}

/**
 * Checks the configuration as `serve` would see it, or one file alone, with each of its profiles.
 *
 * @throws {ConfigError} `CONFIG_INVALID` when something is wrong.
 */
export async function validateConfig(
  runtime: Runtime,
  file: string | undefined,
  flags: Flags,
  { json }: { json: boolean },
): Promise<void> {
  const fileOnly = file !== undefined
  const given = fileOnly ? { ...flags, config: file } : flags
  const read = (more: Flags = {}) =>
    readSettings(runtime, { flags: { ...given, ...more }, for: 'report', fileOnly })
  const first = read()
  const profiles = first.file?.content['profiles']
  const names = given.profile === undefined && isObject(profiles) ? Object.keys(profiles) : []
  const all = [first, ...names.map((profile) => read({ profile }))]
  const found = await Promise.all(
    all.map(async (settings) => [...settings.problems, ...(await ruleProblems(runtime, settings))]),
  )
  const problems = [...new Set(found.flat())]
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

/** Returns the problems of rules; their compiler is loaded only here. */
async function ruleProblems(
  { clock }: Pick<Runtime, 'clock'>,
  { targets, values }: Settings,
): Promise<readonly string[]> {
  const ruled = targets.map((name) => {
    const { value = [], from = '' } = values.get(`targets.${name}.rules`) ?? {}
    return { name, rules: { from, list: value as readonly RuleSettings[] } }
  })
  const { compileRules } = await import('../../../gateway/rules/compile.js')
  return (await compileRules(ruled, { clock })).problems
}
