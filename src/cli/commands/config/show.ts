import { readSettings } from '../../../config/load.js'
import type { Flags } from '../../../config/settings.js'
import type { Runtime } from '../../../util/runtime.js'
import { createColors } from '../../colors.js'
import { createPublicValue, cutMiddle, displayValue, reportFindings } from './display.js'

const GAP = '  '
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
  const rows = [...settings.values].map(([key, { value, from }]) => ({
    key,
    value: publicValue(key, value),
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
    )
    const lines = table.map((line, index) => {
      if (shown[index]?.isInvalid) return red(line)
      return shown[index]?.from === 'default' ? dim(line) : line
    })
    runtime.io.out(`${lines.join('\n')}\n`)
  }
  reportFindings(runtime, settings, { json })
}

/** A member of a target that nobody set, and that has no effect then. */
const isIdle = ({ key, value, from }: { key: string; value: unknown; from: string }) =>
  from === 'default' &&
  key.startsWith('targets.') &&
  (displayValue(value) === '-' || key.endsWith('.credential.by'))

type Cells = readonly [key: string, value: string, origin: string]

/** Aligns the columns so that they fit the terminal; a longer value gets a line of its own. */
function layOut(rows: readonly Cells[], columns: number): string[] {
  const widest = (of: (row: Cells) => string) => Math.max(...rows.map((row) => of(row).length))
  const keyWidth = widest(([key]) => key)
  const originWidth = Math.min(
    widest(([, , origin]) => origin),
    ORIGIN_WIDTH,
  )
  const left = columns - keyWidth - originWidth - 2 * GAP.length
  const valueWidth = Math.max(
    MIN_VALUE_WIDTH,
    Math.min(
      left,
      widest(([, value]) => value),
    ),
  )
  return rows.map(([key, value, origin]) => {
    const fits = value.length <= valueWidth
    const cells = [key.padEnd(keyWidth), (fits ? value : '').padEnd(valueWidth)]
    const line = [...cells, cutMiddle(origin, originWidth)].join(GAP)
    return fits ? line : `${line}\n${GAP}${value}`
  })
}
