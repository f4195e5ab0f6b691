/** A part of a TOML document; what stands between two of them is punctuation. */
export interface TomlToken {
  /** A header is `[a.b]` or `[[a.b]]`; a dotted key may be several tokens. */
  readonly kind: 'header' | 'key' | 'value' | 'comment'
  readonly start: number
  readonly end: number
}

/** Goes through a valid TOML document once, from its start to its end. */
export function* tomlTokens(text: string): Generator<TomlToken> {
  let [at, depth, isLineStart] = [0, 0, true]
  while (at < text.length) {
    const start = at
    const sign = text.charAt(at)
    if (sign === '#') {
      at = endOfLine(text, at)
      yield { kind: 'comment', start, end: at }
    } else if (sign === '[' && depth === 0 && isLineStart) {
      at = endOfHeader(text, at)
      yield { kind: 'header', start, end: at }
    } else if (sign === '"' || sign === "'") {
      at = endOfString(text, at)
      yield { kind: isKey(text, start, at) ? 'key' : 'value', start, end: at }
    } else if (/[^\s,=[\]{}]/.test(sign)) {
      while (at < text.length && /[^\s,=[\]{}#"']/.test(text.charAt(at))) at++
      yield { kind: isKey(text, start, at) ? 'key' : 'value', start, end: at }
    } else {
      if (sign === '[' || sign === '{') depth++
      if (sign === ']' || sign === '}') depth--
      at++
    }
    isLineStart = sign === '\n' || (isLineStart && /\s/.test(sign))
  }
}

/** A key is followed by `=`, or by a dot and its next part. */
function isKey(text: string, start: number, end: number): boolean {
  let next = end
  while (text.charAt(next) === ' ' || text.charAt(next) === '\t') next++
  const isPart = text.charAt(next) === '.' || text.charAt(end - 1) === '.'
  return text.charAt(next) === '=' || (isPart && start < end)
}

function endOfHeader(text: string, start: number): number {
  let at = start
  while (at < text.length && !/[\r\n#]/.test(text.charAt(at))) {
    at = /["']/.test(text.charAt(at)) ? endOfString(text, at) : at + 1
  }
  return at
}

function endOfString(text: string, start: number): number {
  const quote = text.charAt(start)
  const isLong = text.startsWith(quote.repeat(3), start)
  const mark = isLong ? quote.repeat(3) : quote
  let at = start + mark.length
  while (at < text.length && !text.startsWith(mark, at)) {
    at += quote === '"' && text.charAt(at) === '\\' ? 2 : 1
  }
  at += mark.length
  // one or two more quotes belong to what a long string holds
  for (let more = 0; isLong && more < 2 && text.charAt(at) === quote; more++) at++
  return Math.min(at, text.length)
}

function endOfLine(text: string, start: number): number {
  const end = text.indexOf('\n', start)
  return end < 0 ? text.length : end
}
