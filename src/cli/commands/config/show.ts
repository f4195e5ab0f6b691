import { readSettings } from '../../../config/load.js'
import type { Flags } from '../../../config/settings.js'
import type { Runtime } from '../../../util/runtime.js'
import { createColors } from '../../colors.js'
import { createPublicValue, cutEnd, cutMiddle, displayValue, reportFindings } from './display.js'

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
    const table = layOut(
      rows.map(({ key, value, from, isInvalid }) => [
        key,
        isInvalid ? '(invalid)' : displayValue(value),
        from,
      ]),
      runtime.io.columns,
    )
    const lines = table.map((line, index) => {
      if (rows[index]?.isInvalid) return red(line)
      return rows[index]?.from === 'default' ? dim(line) : line
    })
    runtime.io.out(`${lines.join('\n')}\n`)
  }
  reportFindings(runtime, settings, { json })
}

type Cells = readonly [key: string, value: string, origin: string]

/** Aligns the columns so that a line fits the terminal; values are cut first. */
export function layOut(rows: readonly Cells[], columns: number): string[] {
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
  return rows.map(([key, value, origin]) =>
    [
      key.padEnd(keyWidth),
      cutEnd(value, valueWidth).padEnd(valueWidth),
      cutMiddle(origin, originWidth),
    ].join(GAP),
  )
}
