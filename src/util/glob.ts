/**
 * Makes a matcher from patterns in which `*` stands for any run of characters. It uses no regular
 * expression, so that no pattern and no name can make it slow.
 */
export function createGlobMatcher(patterns: readonly string[]): (text: string) => boolean {
  const parts = patterns.map((pattern) => pattern.split('*'))
  return (text) => parts.some((pieces) => matches(pieces, text))
}

function matches(pieces: readonly string[], text: string): boolean {
  const first = pieces[0] ?? ''
  if (pieces.length === 1) return text === first
  const last = pieces[pieces.length - 1] ?? ''
  if (text.length < first.length + last.length) return false
  if (!text.startsWith(first) || !text.endsWith(last)) return false
  const end = text.length - last.length
  let at = first.length
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at)
    if (found < 0 || found + piece.length > end) return false
    at = found + piece.length
  }
  return true
}

/** Tells whether any text fits both patterns. */
export function globsMeet(one: string, other: string): boolean {
  const [a, b] = [one.split('*'), other.split('*')]
  if (a.length === 1) return matches(b, one)
  if (b.length === 1) return matches(a, other)
  // what stands between the first and the last star of both can follow one another
  const [headA = '', headB = ''] = [a[0], b[0]]
  const [tailA = '', tailB = ''] = [a.at(-1), b.at(-1)]
  const isHead = headA.startsWith(headB) || headB.startsWith(headA)
  return isHead && (tailA.endsWith(tailB) || tailB.endsWith(tailA))
}
