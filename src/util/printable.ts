/**
 * What a terminal obeys instead of showing it, and what breaks lines: C0 and C1 controls, line and
 * paragraph separators, and the marks that turn the direction of text.
 */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is meant
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+/g

/** Keeps text from outside from moving the cursor, breaking lines or turning text around. */
export function printable(text: string): string {
  return text.replace(UNSAFE, ' ')
}

/** The same, but lines stay lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** The same for one line of JSON, whose strings stay what they were: each of them is escaped. */
export function escapeUnsafe(json: string): string {
  return json.replace(UNSAFE, (run) => {
    let escaped = ''
    for (let i = 0; i < run.length; i++) {
      escaped += `\\u${run.charCodeAt(i).toString(16).padStart(4, '0')}`
    }
    return escaped
  })
}
