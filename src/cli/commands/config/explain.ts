import { SETTING_KINDS } from '../../../config/kinds.js'
import type { Raw } from '../../../config/layers.js'
import { readSettings, type Settings } from '../../../config/load.js'
import { createPublicValue } from '../../../config/public-value.js'
import { hasReference, isFileReference } from '../../../config/references.js'
import { type Flags, findSetting } from '../../../config/settings.js'
import type { Setting } from '../../../config/table.js'
import { createColors } from '../../../util/colors.js'
import { ProxyError } from '../../../util/errors.js'
import type { Runtime } from '../../../util/runtime.js'
import { nearest } from '../../../util/text.js'
import { displayValue, reportFindings } from './display.js'

/**
 * Prints the meaning of a setting, its value, and the value in each source.
 *
 * @throws {ProxyError} `USAGE` when there is no such setting, `CONFIG_INVALID` when it is wrong.
 */
export function explainSetting(
  runtime: Runtime,
  key: string,
  flags: Flags,
  { json }: { json: boolean },
): void {
  const settings = readSettings(runtime, { flags, for: 'report' })
  const row = findSetting(key)
  if (row === undefined) throw unknownSetting(key, settings)
  const current = settings.values.get(key) ?? { value: row.default, from: 'default' }
  const value = createPublicValue(settings)(key, current.value)
  const layers = layersOf(row, key, settings)
  if (json) {
    const { help, flag, env, unit, secret } = row
    const document = { key, help, flag, env, unit, secret, value, origin: current.from, layers }
    runtime.io.out(`${JSON.stringify(document)}\n`)
  } else {
    const shown = settings.invalid.has(key) ? '(invalid)' : value
    runtime.io.out(render(runtime, row, key, shown, layers))
  }
  const about = (text: string) => text.includes(key)
  const [warnings, problems] = [settings.warnings.filter(about), settings.problems.filter(about)]
  reportFindings(runtime, { warnings, missing: [], problems }, { json })
}

interface LayerView {
  origin: string
  value: unknown
}

function layersOf(row: Setting, key: string, settings: Settings): LayerView[] {
  const publicValue = createPublicValue(settings)
  const layers = (settings.raws.get(key) ?? []).map((raw) => ({
    origin: raw.from,
    value: isPointer(raw) ? raw.value : publicValue(key, raw.value),
  }))
  const byDefault = row.key === 'targets.*.prefix' ? key.split('.')[1] : row.default
  return [...layers, { origin: 'default', value: byDefault ?? null }]
}

/** A reference to a secret is not the secret. */
const isPointer = ({ value }: Raw) =>
  typeof value === 'string' &&
  (isFileReference(value) || (hasReference(value) && /^\$\{\w+\}$/.test(value)))

function render(
  runtime: Runtime,
  row: Setting,
  key: string,
  value: unknown,
  layers: readonly LayerView[],
): string {
  const { bold, dim } = createColors(runtime, 'out')
  const unit = row.unit && value !== null ? ` ${row.unit}` : ''
  const width = Math.max(...layers.map(({ origin }) => origin.length))
  const ways = [row.flag, ...row.env, `"${key}" in the file`].filter((way) => way !== undefined)
  const lines = [
    `${bold(key)} = ${displayValue(value)}${unit}`,
    '',
    row.help,
    `Takes ${SETTING_KINDS[row.kind].expects}.`,
    `Set it by ${ways.join(', ')}.`,
    '',
    ...layers.map(({ origin, value: said }, index) => {
      const line = `${origin.padEnd(width)}  ${displayValue(said)}`
      return index === 0 ? `* ${line}` : dim(`  ${line}`)
    }),
  ]
  return `${lines.join('\n')}\n`
}

function unknownSetting(key: string, { values }: Settings): ProxyError {
  const keys = [...values.keys()]
  const inside = keys.filter((candidate) => candidate.startsWith(`${key}.`))
  const near = keys.find((candidate) => candidate.endsWith(`.${key}`)) ?? nearest(key, keys)
  const hint =
    inside.length > 0
      ? `Name one of ${inside.join(', ')}.`
      : near
        ? `Did you mean ${near}?`
        : 'Run `mcp-descope-proxy config show` to see all settings.'
  return new ProxyError('USAGE', `Unknown setting ${JSON.stringify(key)}`, { hint })
}
