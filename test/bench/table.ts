export type Column<T extends string> = [title: string, value: (name: T) => number | undefined]

/** A Markdown table, or '' when nothing in it was measured. */
export function renderTable<T extends string>(
  title: string,
  columns: Column<T>[],
  names: readonly T[],
  titles: Record<T, string>,
): string {
  const measured = columns.filter(([, value]) => names.some((name) => value(name) !== undefined))
  if (measured.length === 0) return ''
  const rows = names.map((name) => [
    titles[name],
    ...measured.map(([, value]) => formatNumber(value(name))),
  ])
  return `${title}\n${alignRows([['', ...measured.map(([header]) => header)], ...rows])}`
}

/** The first row is the header; numbers stand on the right. */
export function alignRows(rows: string[][]): string {
  const widths = rows[0]!.map((_, at) => Math.max(3, ...rows.map((row) => row[at]!.length)))
  const render = (row: string[]) =>
    `| ${row.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join(' | ')} |`
  const rule = `|${widths.map((width, at) => (at === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  return [render(rows[0]!), rule, ...rows.slice(1).map(render)].join('\n')
}

export function formatNumber(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '–'
  if (Number.isInteger(value)) return value.toLocaleString('en')
  if (value >= 100) return value.toFixed(0)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
