/** A regular expression as a tree, as far as hostile text can be derived from it. */
export type Node =
  /** One character: what the source says of it, to be asked with a character. */
  | { readonly type: 'character'; readonly matches: (character: string) => boolean }
  | { readonly type: 'sequence'; readonly items: readonly Node[] }
  | { readonly type: 'choice'; readonly options: readonly Node[] }
  | { readonly type: 'repeat'; readonly min: number; readonly max: number; readonly item: Node }
  | { readonly type: 'group'; readonly body: Node }
  | { readonly type: 'look'; readonly body: Node }
  | { readonly type: 'reference'; readonly group: number }
  /** `^`, `$`, `\b`: no text of its own. */
  | { readonly type: 'anchor' }

export interface Tree {
  readonly root: Node
  /** What the groups hold, for references to them. */
  readonly groups: readonly Node[]
}

/** Reads the source of a regular expression that compiles. */
export function parsePattern({ source, flags }: RegExp): Tree {
  let at = 0
  const groups: Node[] = []
  const single = (text: string): Node => {
    const own = new RegExp(`^(?:${text})$`, flags.replace(/[gy]/g, ''))
    return { type: 'character', matches: (character) => own.test(character) }
  }

  function choice(): Node {
    const options = [sequence()]
    while (source[at] === '|') {
      at += 1
      options.push(sequence())
    }
    return options.length === 1 && options[0] !== undefined
      ? options[0]
      : { type: 'choice', options }
  }

  function sequence(): Node {
    const items: Node[] = []
    while (at < source.length && source[at] !== '|' && source[at] !== ')') {
      items.push(quantified(atom()))
    }
    return { type: 'sequence', items }
  }

  function quantified(item: Node): Node {
    const found = /^(?:([*+?])|\{(\d+)(,?)(\d*)\})\??/.exec(source.slice(at, at + 24))
    if (found === null) return item
    at += found[0].length
    const [, sign, least, comma, most] = found
    if (sign !== undefined) {
      return { type: 'repeat', min: sign === '+' ? 1 : 0, max: sign === '?' ? 1 : Infinity, item }
    }
    const max = comma === '' ? Number(least) : most === '' ? Infinity : Number(most)
    return { type: 'repeat', min: Number(least), max, item }
  }

  function atom(): Node {
    const rest = source.slice(at)
    const open = /^\((\?:|\?<?[=!]|\?<\w+>)?/.exec(rest)
    if (open !== null) return group(open)
    const text =
      /^(\[(?:\\.|[^\]\\])*\]|\\[pP]\{[^}]*\}|\\u\{[^}]*\}|\\u[\dA-Fa-f]{4}|\\x[\dA-Fa-f]{2}|\\c.|\\[1-9]\d*|\\.|.)/su.exec(
        rest,
      )?.[0] ?? ''
    at += text.length
    if (/^(\^|\$|\\[bB])$/.test(text)) return { type: 'anchor' }
    const reference = /^\\([1-9]\d*)$/.exec(text)
    return reference === null ? single(text) : { type: 'reference', group: Number(reference[1]) }
  }

  function group(open: RegExpExecArray): Node {
    at += open[0].length
    const isLook = /[=!]$/.test(open[0])
    const isCounted = open[1] !== '?:' && !isLook
    const number = isCounted ? groups.push({ type: 'anchor' }) - 1 : -1
    const body = choice()
    at += 1
    if (isCounted) groups[number] = body
    return { type: isLook ? 'look' : 'group', body }
  }

  return { root: choice(), groups }
}
