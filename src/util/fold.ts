const PLAIN = /^[\x21-\x7e]*$/
/** Marks above and below letters, and what is not to be seen at all. */
const UNSEEN = /[\p{M}\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}]+/gu

/**
 * Folds a name as the most lenient reader does: without case (also of `ſ`, `ß`, the Kelvin sign and
 * the Turkish letters), width, accents, white space around it and characters that are not seen. Two
 * names that anybody may take for the same one are equal when they are folded.
 *
 * @see [Unicode §3.13](https://www.unicode.org/versions/latest/core-spec/chapter-3/) Default Case Algorithms
 */
export function foldName(name: string): string {
  if (PLAIN.test(name)) return name.toLowerCase()
  return foldLetters(foldLetters(name)).trim()
}

/** Twice, since upper case may take a letter apart whose parts fold further. */
function foldLetters(text: string): string {
  return text.normalize('NFKD').replace(UNSEEN, '').toUpperCase().toLowerCase().replaceAll('ς', 'σ')
}
