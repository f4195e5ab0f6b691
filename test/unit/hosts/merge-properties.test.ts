import fc from 'fast-check'
import { parse } from 'jsonc-parser'
import { describe, expect, it } from 'vitest'
import { ENTRY, mergeText, TOML_HOST } from './support.js'

/** A way to lay out a document: what stands between its parts is taken from here, in turn. */
interface Layout {
  gaps: readonly string[]
  trailingComma: boolean
}

/** Writes JSON with blanks and comments between all its parts. */
function write(value: unknown, { gaps, trailingComma }: Layout): string {
  let at = 0
  const gap = () => gaps[at++ % gaps.length] ?? ''
  const list = (parts: string[], open: string, close: string) => {
    const joined = parts.map((part, index) => {
      const isLast = index === parts.length - 1
      return `${gap()}${part}${gap()}${isLast && !trailingComma ? '' : ','}`
    })
    return `${open}${joined.join('')}${gap()}${close}`
  }
  const part = (inner: unknown): string => {
    if (Array.isArray(inner)) return list(inner.map(part), '[', ']')
    if (typeof inner !== 'object' || inner === null) return JSON.stringify(inner)
    const members = Object.entries(inner).map(
      ([key, member]) => `${JSON.stringify(key)}${gap()}:${gap()}${part(member)}`,
    )
    return list(members, '{', '}')
  }
  return `${gap()}${part(value)}${gap()}`
}

const gap = fc.constantFrom(
  ...['', '', ' ', '\n', '\n  ', '\r\n\t', '\n    ', ' // , "x": {\n', '/* } , { */', '\n// ü\n'],
)
const layout = fc.record({
  gaps: fc.array(gap, { minLength: 1, maxLength: 12 }),
  trailingComma: fc.boolean(),
})

const key = fc.oneof(fc.string(), fc.constantFrom('env', 'a', '__proto__', 'inputs', '//', '}'))
const isOurs = (name: string) => name === 'acme' || name === 'mcpServers'
const { json } = fc.letrec((tie) => ({
  json: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
    fc.array(tie('json'), { maxLength: 3 }),
    fc.dictionary(
      key.filter((name) => !isOurs(name)),
      tie('json'),
      { maxKeys: 3, noNullPrototype: true },
    ),
  ),
}))
const members = fc.dictionary(
  key.filter((name) => !isOurs(name)),
  json,
  {
    maxKeys: 4,
    noNullPrototype: true,
  },
)
/** A document, whose servers stand first, last, or nowhere. */
const document = fc.tuple(members, fc.option(members), members).map(([before, servers, after]) => ({
  ...before,
  ...(servers !== null && { mcpServers: servers }),
  ...after,
}))

/** What is left of `before` besides what is in `after`, too, in the same order, from both ends. */
function lost(before: string, after: string): string {
  let head = 0
  while (head < before.length && before[head] === after[head]) head++
  let tail = 0
  while (tail < before.length - head && before.at(-1 - tail) === after.at(-1 - tail)) tail++
  return before.slice(head, before.length - tail)
}

/** The texts that `after` may be once a comma that had to be added is taken out. */
function* withoutComma(before: string, after: string): Generator<string> {
  yield after
  let head = 0
  while (head < before.length && before[head] === after[head]) head++
  for (let at = head; at >= 0 && at > head - 3; at--) {
    if (after[at] === ',') yield after.slice(0, at) + after.slice(at + 1)
  }
}

describe('merging into JSON', () => {
  it('keeps everything else byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(document, layout, async (content, how) => {
        const before = write(content, how)
        const { text, outcome } = await mergeText(before)
        expect(outcome).toBe('added')
        const kept = [...withoutComma(before, text)].map((after) => lost(before, after))
        expect(kept.some((rest) => /^\s*$/.test(rest))).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  })

  it('adds the server and changes no value', async () => {
    await fc.assert(
      fc.asyncProperty(document, layout, async (content, how) => {
        const { text } = await mergeText(write(content, how))
        const errors: [] = []
        const after = parse(text, errors, { allowTrailingComma: true })
        expect(errors).toEqual([])
        expect(after.mcpServers.acme).toEqual(ENTRY.value)
        expect((await mergeText(text)).outcome).toBe('same')
      }),
      { numRuns: 500 },
    )
  })

  it('replaces nothing but the entry', async () => {
    await fc.assert(
      fc.asyncProperty(members, members, layout, async (before, after, how) => {
        const text = write({ mcpServers: { ...before, acme: 987_654_321, ...after } }, how)
        const [head = '', tail = ''] = text.split('987654321')
        const merged = await mergeText(text, { force: true })
        expect(merged.outcome).toBe('replaced')
        expect([merged.text.startsWith(head), merged.text.endsWith(tail)]).toEqual([true, true])
      }),
      { numRuns: 300 },
    )
  })

  it('never breaks a text, whatever it is', async () => {
    const pieces = fc.constantFrom(
      ...['{', '}', '[', ']', ',', ':', '"mcpServers"', '"acme"', '1', '//', '/*', '*/', '\n', ' '],
    )
    await fc.assert(
      fc.asyncProperty(fc.array(pieces, { maxLength: 14 }), fc.boolean(), async (parts, force) => {
        const merged = await mergeText(parts.join(''), { force }).catch(() => undefined)
        if (merged === undefined || merged.outcome === 'taken') return
        expect((await mergeText(merged.text)).outcome).toBe('same')
      }),
      { numRuns: 3_000 },
    )
  })
})

describe('merging into TOML', () => {
  const pieces = [
    ['# a comment\n', 'b = 1 # one\n', "c.d = 'x'\n", 'e = """\n[mcp_servers.acme]\n# f\n"""\n'],
    ['[g]\nh = [\n  [1], # two\n]\n', '\n# about i\n[[i]]\n', '[[i]]\nj = 1979-05-27\n\n\n'],
    ['[mcp_servers.k]\nl = "m"\n', '[mcp_servers.k.env] # n\no = "p"\n', '["q r".s]\n'],
  ]
  const document = fc
    .tuple(fc.subarray(pieces[0] ?? []), fc.subarray(pieces.slice(1).flat()), fc.boolean())
    .map(([top, tables, isCrlf]) => {
      const texts = [top.join(''), ...tables]
      return isCrlf ? texts.map((text) => text.replaceAll('\n', '\r\n')) : texts
    })
  const old = '[mcp_servers.acme]\nurl = "x" # old\n'

  it('adds at the end and keeps everything byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(document, async (parts) => {
        const before = parts.join('')
        const { text } = await mergeText(before, { host: TOML_HOST })
        expect(text.startsWith(before)).toBe(true)
      }),
    )
  })

  it('replaces nothing but the entry', async () => {
    await fc.assert(
      fc.asyncProperty(document, fc.nat(), async (parts, place) => {
        const at = 1 + (place % parts.length)
        const [head, tail] = [parts.slice(0, at).join(''), parts.slice(at).join('')]
        const { text } = await mergeText(head + old + tail, { host: TOML_HOST, force: true })
        expect(text.replaceAll('\r\n', '\n')).toBe(
          `${head}[mcp_servers.acme]\ncommand = "npx"\n${tail}`.replaceAll('\r\n', '\n'),
        )
      }),
    )
  })
})
