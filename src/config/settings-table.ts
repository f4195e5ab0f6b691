import { LOOKUPS } from './lookups.js'
import { SETTINGS } from './settings.js'
import type { Setting } from './table.js'

/** Renders the table of all settings in Markdown, as the README shows it. */
export function renderSettingsTable(): string {
  const rows: readonly Setting[] = SETTINGS
  const lookups = LOOKUPS.map(({ flag, env, help }) => ['', code(flag), code(env), '', help])
  const settings = rows.map((row) => [
    code(row.key.replace('*', '<name>')),
    row.flag ? code(row.flag) : '',
    row.env.map(code).join(' '),
    defaultOf(row),
    row.help,
  ])
  const head = ['Setting', 'Flag', 'Environment', 'Default', 'Meaning']
  return [head, head.map(() => '---'), ...lookups, ...settings]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
}

const code = (text: string) => `\`${text}\``

function defaultOf(row: Setting): string {
  const { default: value, unit } = row
  if (value === undefined) return row.secret ? 'none; secret' : ''
  if (typeof value === 'object') {
    return Object.values(value as object).length === 0 ? '' : code(JSON.stringify(value))
  }
  return `${code(String(value))}${unit ? ` ${unit}` : ''}`
}
