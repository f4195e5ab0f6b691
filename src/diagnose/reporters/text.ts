import type { CheckReport, Outcome, Report } from '../check.js'

type Paint = (text: string) => string

export interface TextStyle {
  readonly colors: Readonly<Record<'bold' | 'cyan' | 'dim' | 'green' | 'red' | 'yellow', Paint>>
  /** Whether symbols outside ASCII can be printed. */
  readonly marks: boolean
  readonly columns: number
}

const MARKS: Readonly<Record<Outcome, string>> = { pass: '✓', warn: '!', fail: '✗', skip: '-' }
const WORDS: Readonly<Record<Outcome, string>> = {
  pass: '[ok]  ',
  warn: '[warn]',
  fail: '[fail]',
  skip: '[skip]',
}
const COLORS = { pass: 'green', warn: 'yellow', fail: 'red', skip: 'dim' } as const
const ID_WIDTH = 22
const MS_WIDTH = 9
const MIN_DETAIL = 24

/** Renders one check: id, detail and duration, then the hint. */
export function renderCheck(report: CheckReport, style: TextStyle): string {
  const { id, outcome, detail, hint, ms } = report
  const { colors, marks, columns } = style
  const paint = colors[COLORS[outcome]]
  const mark = marks ? MARKS[outcome] : WORDS[outcome]
  const indent = mark.length + 2 + ID_WIDTH + 2
  const width = Math.max(MIN_DETAIL, Math.min(columns, 110) - indent - MS_WIDTH)
  const [first = '', ...more] = wrap(detail, width)
  const time = (outcome === 'skip' ? '' : `${ms} ms`).padStart(MS_WIDTH)
  const isLong = id.length > ID_WIDTH
  const name = colors.bold(id) + ' '.repeat(Math.max(0, ID_WIDTH - id.length))
  const body = outcome === 'skip' ? colors.dim : (text: string) => text
  const start = ` ${paint(mark)} ${name}`
  const lines = isLong
    ? [start, `${' '.repeat(indent)}${body(first.padEnd(width))}${colors.dim(time)}`]
    : [`${start}  ${body(first.padEnd(width))}${colors.dim(time)}`]
  for (const line of more) lines.push(`${' '.repeat(indent)}${body(line)}`)
  const left = mark.length + 4
  const arrow = colors.cyan(marks ? '→' : '>')
  for (const [index, line] of wrap(hint ?? '', Math.min(columns, 110) - left - 2).entries()) {
    lines.push(`${' '.repeat(left)}${index === 0 ? arrow : ' '} ${line}`)
  }
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`
}

/** Merges successive checks that were skipped for the same reason. */
export function gatherSkipped(
  before: readonly CheckReport[],
  next: CheckReport | undefined,
): { ready: CheckReport[]; held: CheckReport[] } {
  const [first] = before
  const isSame = first?.outcome === next?.outcome && first?.detail === next?.detail
  if (next !== undefined && isSame) return { ready: [], held: [...before, next] }
  const held = next?.outcome === 'skip' ? [next] : []
  const rest = next === undefined || next.outcome === 'skip' ? [] : [next]
  if (first === undefined || before.length < 3) return { ready: [...before, ...rest], held }
  return { ready: [{ ...first, id: `${before.length} checks` }, ...rest], held }
}

/** Renders the last line: counts and duration. */
export function renderSummary(
  report: Pick<Report, 'checks' | 'counts' | 'exitCode'>,
  totalMs: number,
  { colors }: TextStyle,
): string {
  const { pass, warn, fail, skip } = report.counts
  const expected = report.checks.filter((check) => check.expected).length
  const parts = [
    colors.green(`${pass} passed`),
    fail > 0 ? colors.red(`${fail} failed`) : '',
    warn > 0 ? colors.yellow(`${warn} ${warn === 1 ? 'warning' : 'warnings'}`) : '',
    expected > 0 ? `${expected} of them expected` : '',
    skip > 0 ? colors.dim(`${skip} skipped`) : '',
  ]
  const time = `${(totalMs / 1_000).toFixed(2)} s`
  return `\n ${parts.filter((part) => part !== '').join(', ')}   ${colors.dim(time)}   exit ${report.exitCode}\n`
}

/** Breaks a text at spaces; a longer word is cut. */
export function wrap(text: string, most: number): string[] {
  const width = Math.max(8, most)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    let left = word
    if (line !== '' && line.length + 1 + left.length > width) {
      lines.push(line)
      line = ''
    }
    while (left.length > width) {
      lines.push(left.slice(0, width))
      left = left.slice(width)
    }
    line = line === '' ? left : `${line} ${left}`
  }
  if (line !== '') lines.push(line)
  return lines
}
