/** One line of a diff; `sign` says whether it is kept, removed or added. */
export interface DiffLine {
  readonly sign: ' ' | '-' | '+'
  readonly text: string
}

const CONTEXT = 2
/** Lines times lines; beyond it, what differs counts as replaced as a whole. */
const MOST_COMPARISONS = 4_000_000

/** Compares two texts line by line; everything is returned, unchanged lines too. */
export function diffLines(before: string, after: string): DiffLine[] {
  const [old, young] = [linesOf(before), linesOf(after)]
  const shorter = Math.min(old.length, young.length)
  let head = 0
  while (head < shorter && old[head] === young[head]) head++
  let tail = 0
  while (tail < shorter - head && old.at(-1 - tail) === young.at(-1 - tail)) tail++
  const same = (text: string): DiffLine => ({ sign: ' ', text })
  return [
    ...old.slice(0, head).map(same),
    ...compare(old.slice(head, old.length - tail), young.slice(head, young.length - tail)),
    ...old.slice(old.length - tail).map(same),
  ]
}

/** Longest common subsequence of what is left between equal ends. */
function compare(old: readonly string[], young: readonly string[]): DiffLine[] {
  const removed = (text: string): DiffLine => ({ sign: '-', text })
  const added = (text: string): DiffLine => ({ sign: '+', text })
  if (old.length * young.length > MOST_COMPARISONS || old.length === 0 || young.length === 0) {
    return [...old.map(removed), ...young.map(added)]
  }
  const width = young.length + 1
  const common = new Uint32Array((old.length + 1) * width)
  const at = (row: number, column: number) => common[row * width + column] ?? 0
  for (let row = old.length - 1; row >= 0; row--) {
    for (let column = young.length - 1; column >= 0; column--) {
      common[row * width + column] =
        old[row] === young[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1))
    }
  }
  const lines: DiffLine[] = []
  let [row, column] = [0, 0]
  while (row < old.length || column < young.length) {
    const [mine, theirs] = [old[row], young[column]]
    if (mine !== undefined && mine === theirs) {
      lines.push({ sign: ' ', text: mine })
      row++
      column++
    } else if (
      theirs !== undefined &&
      (mine === undefined || at(row + 1, column) < at(row, column + 1))
    ) {
      lines.push(added(theirs))
      column++
    } else {
      lines.push(removed(mine ?? ''))
      row++
    }
  }
  return lines
}

/**
 * Renders a diff the way `diff -u` does, with two lines around each change.
 *
 * @param show Gives the lines of a text that may be shown; as many as it has.
 */
export function renderDiff(
  path: string,
  before: string | undefined,
  after: string,
  show: { readonly before: (text: string) => string; readonly after: (text: string) => string },
): string {
  const lines = diffLines(before ?? '', after)
  const [shownOld, shownNew] = [linesOf(show.before(before ?? '')), linesOf(show.after(after))]
  const isShown = lines.map((_line, at) =>
    lines.slice(Math.max(0, at - CONTEXT), at + CONTEXT + 1).some(({ sign }) => sign !== ' '),
  )
  let text = `--- ${before === undefined ? '/dev/null' : path}\n+++ ${path}\n`
  let [oldLine, newLine] = [1, 1]
  for (const [at, { sign }] of lines.entries()) {
    if (isShown[at] && !isShown[at - 1]) {
      const end = isShown.indexOf(false, at)
      const hunk = lines.slice(at, end < 0 ? lines.length : end)
      const [removed, added] = [countOf(hunk, '+'), countOf(hunk, '-')]
      text += `@@ -${span(oldLine, removed)} +${span(newLine, added)} @@\n`
    }
    const shown = sign === '-' ? shownOld[oldLine - 1] : shownNew[newLine - 1]
    if (isShown[at]) text += `${sign}${shown}\n`
    if (sign !== '+') oldLine++
    if (sign !== '-') newLine++
  }
  return text
}

/** Lines of one side: all but those of the other one. */
const countOf = (hunk: readonly DiffLine[], other: '+' | '-') =>
  hunk.filter(({ sign }) => sign !== other).length

const span = (line: number, count: number) => `${count === 0 ? line - 1 : line},${count}`

function linesOf(text: string): string[] {
  const lines = text.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}
