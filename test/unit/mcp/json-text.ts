import fc from 'fast-check'

/** One member of an object's text: what was written, and what it means. */
export interface WrittenMember {
  key: string
  /** Index of the value's first character, and of the one behind its last. */
  start: number
  end: number
}

export interface WrittenObject {
  text: string
  members: WrittenMember[]
}

const HOSTILE = [
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\"',
  '\\\\',
  '\\/',
  '\\n',
  '\\u0061',
  '\\ud83d',
].concat(['\\ude00', '\\u0022', 'é', '😀', '\u2028', ' ', 'id', 'name', '=', '\u007f'])

/** The text of a JSON string, with escapes, quotes and brackets where they hurt. */
export const stringText = fc
  .array(
    fc.oneof(
      fc.constantFrom(...HOSTILE),
      fc.string({ unit: 'binary', maxLength: 2 }).map((text) => JSON.stringify(text).slice(1, -1)),
    ),
    { maxLength: 6 },
  )
  .map((parts) => `"${parts.join('')}"`)

const numberText = fc.oneof(
  fc.constantFrom('0', '-0', '1.0', '1e400', '-1E-7', '12345678901234567890'),
  fc.integer().map(String),
)
const space = fc.string({ unit: fc.constantFrom(' ', '\t', '\n', '\r'), maxLength: 2 })
const scalarText = fc.oneof(stringText, numberText, fc.constantFrom('true', 'false', 'null'))

const tree = fc.letrec<{ value: string; array: string; object: WrittenObject }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    scalarText,
    tie('array'),
    tie('object').map(({ text }) => text),
  ),
  array: fc
    .tuple(fc.array(fc.tuple(space, tie('value'), space), { maxLength: 4 }), space)
    .map(([items, only]) =>
      items.length === 0
        ? `[${only}]`
        : `[${items.map(([before, value, after]) => before + value + after).join(',')}]`,
    ),
  object: fc
    .tuple(
      fc.array(
        fc.tuple(stringText, tie('value'), fc.array(space, { minLength: 4, maxLength: 4 })),
        {
          maxLength: 5,
        },
      ),
      space,
    )
    .map(([entries, only]) => writeObject(entries, only)),
}))

function writeObject(
  entries: readonly (readonly [key: string, value: string, spaces: readonly string[]])[],
  only: string,
): WrittenObject {
  if (entries.length === 0) return { text: `{${only}}`, members: [] }
  const members: WrittenMember[] = []
  let text = '{'
  for (const [key, value, [a = '', b = '', c = '', d = '']] of entries) {
    if (members.length > 0) text += ','
    text += `${a}${key}${b}:${c}`
    members.push({ key: JSON.parse(key), start: text.length, end: text.length + value.length })
    text += value + d
  }
  return { text: `${text}}`, members }
}

/** The text of any JSON value. */
export const valueText = tree.value

/** The text of a JSON object, and where its values stand. Keys may stand in it twice. */
export const objectText = tree.object
