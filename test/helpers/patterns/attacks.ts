import { type Node, parsePattern, type Tree } from './syntax.js'

/** Text of any length that a pattern may take long to refuse. */
export interface Attack {
  readonly start: string
  readonly repeated: string
  readonly end: string
}

const MOST_WORDS = 30
const MOST_STARTS = 6
const POOL = [
  ...Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)),
  ...['\u0085', '\u00a0', 'é', 'ſ', '\u2028', '\ufeff', '\ud800', '\uffff', 'ﬁ', '😀', '\u0301'],
]

export const writeAttack = ({ start, repeated, end }: Attack, length: number): string =>
  start + repeated.repeat(Math.max(1, Math.ceil(length / repeated.length))) + end

/**
 * Derives hostile text from a pattern: beginnings of what it matches, then a part of it over and
 * over, then an end that does not fit.
 */
export function attacksOn(pattern: RegExp): Attack[] {
  const tree = parsePattern(pattern)
  const alphabet = alphabetOf(tree, pattern)
  const samples = (node: Node) => samplesOf(node, alphabet, tree)
  const parts = new Set<string>()
  const starts = new Set<string>([''])
  walk(tree.root, [''], (before, part) => {
    for (const start of before) starts.add(start)
    for (const text of samples(part)) parts.add(text)
  })
  const words = new Set([...alphabet, ...pairs(alphabet), ...parts].filter((word) => word !== ''))
  const ends = new Set(['', '\u0000', '\n', '\n\u0000', ...alphabet.slice(0, 5)])
  const attacks: Attack[] = []
  for (const start of pick([...starts], MOST_STARTS)) {
    for (const repeated of pick([...words], MOST_WORDS)) {
      for (const end of ends) attacks.push({ start, repeated, end })
    }
  }
  return attacks

  /** Visits each node with samples of what stands before it, and each beginning of a sequence. */
  function walk(
    node: Node,
    before: readonly string[],
    visit: (before: readonly string[], part: Node) => void,
  ): void {
    visit(before, node)
    if (node.type === 'choice') for (const option of node.options) walk(option, before, visit)
    if (node.type === 'repeat') walk(node.item, before, visit)
    if (node.type === 'group' || node.type === 'look') walk(node.body, before, visit)
    if (node.type !== 'sequence') return
    for (const [at, item] of node.items.entries()) {
      const begun = samples({ type: 'sequence', items: node.items.slice(0, at) })
      const joined = before.flatMap((text) => begun.map((more) => text + more))
      walk(item, pick(joined, 4), visit)
      visit(joined.slice(0, 2), { type: 'sequence', items: node.items.slice(0, at + 1) })
    }
  }
}

/** One character for each set of parts of the pattern that a character can match. */
function alphabetOf({ root }: Tree, { source }: RegExp): string[] {
  const parts: ((character: string) => boolean)[] = []
  const collect = (node: Node): void => {
    if (node.type === 'character') parts.push(node.matches)
    if (node.type === 'sequence') node.items.forEach(collect)
    if (node.type === 'choice') node.options.forEach(collect)
    if (node.type === 'repeat') collect(node.item)
    if (node.type === 'group' || node.type === 'look') collect(node.body)
  }
  collect(root)
  // `\b` tells apart what the parts of the pattern do not
  if (/\\b/i.test(source)) parts.push((character) => /\w/.test(character))
  const kinds = new Map<string, string>()
  // letters first: they are the likelier to fit around `\b`
  for (const character of ['a', 'A', '0', ...POOL]) {
    const kind = parts.map((matches) => (matches(character) ? '1' : '0')).join('')
    if (!kinds.has(kind)) kinds.set(kind, character)
  }
  return [...kinds.values()]
}

function samplesOf(node: Node, alphabet: readonly string[], tree: Tree): string[] {
  const samples = (inner: Node): string[] => samplesOf(inner, alphabet, tree)
  switch (node.type) {
    case 'character':
      return pick(alphabet.filter(node.matches), 3)
    case 'sequence':
      return node.items.map(samples).reduce(
        (before, next) =>
          pick(
            before.flatMap((text) =>
              next.length === 0 ? [text] : next.map((more) => text + more),
            ),
            4,
          ),
        [''],
      )
    case 'choice':
      return pick(node.options.flatMap(samples), 6)
    case 'repeat': {
      const counts = new Set([Math.min(node.min, 40), Math.min(Math.max(node.min, 1), 40)])
      return samples(node.item).flatMap((text) => [...counts].map((count) => text.repeat(count)))
    }
    case 'group':
      return samples(node.body)
    case 'reference': {
      const group = tree.groups[node.group - 1]
      return group === undefined ? [''] : samples(group)
    }
    default:
      return ['']
  }
}

const pairs = (alphabet: readonly string[]): string[] => {
  const few = alphabet.slice(0, 7)
  return few.flatMap((one) => few.filter((other) => other !== one).map((other) => one + other))
}

/** At most so many, from everywhere in the list. */
function pick<T>(list: readonly T[], most: number): T[] {
  const unique = [...new Set(list)]
  if (unique.length <= most) return unique
  return Array.from(
    { length: most },
    (_, at) => unique[Math.floor((at * unique.length) / most)] as T,
  )
}
