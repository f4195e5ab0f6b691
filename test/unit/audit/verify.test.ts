import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { createChain, createProtection, fragmentOf } from '../../../src/audit/chain.js'
import { eachLine } from '../../../src/audit/read-lines.js'
import { createAuditVerifier, type VerifyReport } from '../../../src/audit/verify.js'

const KEY = 'a key of more than thirty-two bytes, for the tests'

const body = (event: string, members: object = {}) =>
  JSON.stringify({ time: '2026-12-01T00:00:00.000Z', event, ...members }).slice(1, -1)

const hashOf = (line: string) => /"(?:hash|mac)":"([^"]+)"/.exec(line)?.[1] as string

/** The records of one process. */
function run(count: number, { prev, start = {}, key, stops = true }: RunOptions = {}): string[] {
  const chain = createChain(createProtection(key), prev)
  const lines = [chain.add(body('start', start))]
  for (let i = 0; i < count; i++) lines.push(chain.add(body('call', { tool: `tool ${i} – ü` })))
  if (stops) lines.push(chain.add(body('stop')))
  return lines
}

interface RunOptions {
  prev?: string
  start?: object
  key?: string
  stops?: boolean
}

interface How {
  key?: string
  after?: string[]
  heads?: string[]
}

async function verify(text: string | Buffer, how: How = {}): Promise<VerifyReport> {
  const { key, after = [], heads = [] } = how
  const verifier = createAuditVerifier({ protection: createProtection(key), after, heads })
  const bytes = Buffer.from(text)
  // in pieces, so that lines and characters are cut
  const pieces = Array.from({ length: Math.ceil(bytes.length / 97) }, (_, i) =>
    bytes.subarray(i * 97, (i + 1) * 97),
  )
  const line = await eachLine(Readable.from(pieces), (bytes, number) =>
    verifier.take(bytes, { file: 'f', line: number }),
  )
  return verifier.report({ file: 'f', line })
}

const problemsOf = async (text: string | Buffer, how?: How) =>
  (await verify(text, how)).problems.map(({ line, problem }) => `${line}: ${problem}`)

const LINES = run(4)

describe('audit records as they were written', () => {
  it('are whole, and name their head', async () => {
    const report = await verify(LINES.join(''))
    expect(report).toMatchObject({ ok: true, records: 6, problems: [], lost: 0 })
    const head = hashOf(LINES[5] as string)
    expect(report.writers).toMatchObject([{ from: 1, to: 6, stopped: true, head }])
    expect(await problemsOf(LINES.join(''), { heads: [head] })).toEqual([])
  })

  it('are whole when nothing was written at all', async () => {
    expect(await verify('')).toMatchObject({ ok: true, records: 0 })
  })

  it('of two processes may stand between each other, and a third one goes on from both', async () => {
    const group = { host: 'h', parent: 1, workers: 2 }
    const one = run(3, { start: group })
    const two = run(3, { start: group })
    const mixed = one.flatMap((line, index) => [line, two[index] as string])
    const end = two.at(-1) as string
    const other = JSON.parse(one.at(-1) as string)
    const after = [{ writer: other.writer, seq: other.seq, hash: other.hash }]
    const third = run(1, { prev: hashOf(end), start: { after } })
    const report = await verify([...mixed, ...third].join(''))
    expect(report.problems).toEqual([])
    expect(report.writers.map(({ followed }) => followed)).toEqual([true, true, false])
    // without one of both
    expect(await problemsOf([...two, ...third].join(''))).toEqual([
      expect.stringContaining(`record 5 of writer ${other.writer}, which it names, is missing`),
      '1: only 1 of 2 workers have records here',
    ])
  })

  it('tell how many were dropped', async () => {
    const chain = createChain(createProtection(undefined), undefined)
    const text = chain.add(body('start')) + chain.add(body('gap', { lost: 7, fragments: [] }))
    expect(await verify(text)).toMatchObject({ ok: true, lost: 7 })
  })

  it('may hold a half-written one that a later one tells of, and no other', async () => {
    const first = run(2, { stops: false })
    const torn = '{"time":"2026-12-01T00:00:00.000Z","event":"call","to'
    const start = { fragments: [fragmentOf(Buffer.from(torn))] }
    const second = run(1, { prev: hashOf(first.at(-1) as string), start })
    const text = `${first.join('')}${torn}\n${second.join('')}`
    expect(await problemsOf(text)).toEqual([])
    expect(await problemsOf(text.replace(`${torn}\n`, `${torn.slice(0, -1)}O\n`))).toEqual([
      '5: 53 bytes that this record tells of are missing',
      '4: is not an audit record (53 bytes): it was changed, added or cut off',
    ])
    expect(await problemsOf(text.replace(`${torn}\n`, ''))).toEqual([
      '4: 53 bytes that this record tells of are missing',
    ])
    expect(await problemsOf(`${first.join('')}${torn}`)).toEqual([
      '4: is not an audit record (53 bytes): it was changed, added or cut off',
    ])
    // another process wrote before the line was ended
    const [line = '', ...rest] = second
    expect(await problemsOf(`${first.join('')}${torn}${line}${rest.join('')}`)).toEqual([])
  })
})

describe('audit records', () => {
  const text = LINES.join('')
  it('show a change of any byte', async () => {
    const bytes = Buffer.from(text)
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes)
      changed[at] = (bytes[at] as number) ^ 1
      const { ok } = await verify(changed)
      expect({ at, ok }).toEqual({ at, ok: false })
    }
  }, 60_000)

  it.each<[string, (lines: string[]) => string[], RegExp]>([
    [
      'one is missing',
      ([a, b, , ...rest]) => [a, b, ...rest] as string[],
      /^3: record 3 .*missing/,
    ],
    [
      'several are missing',
      ([a, , , , ...rest]) => [a, ...rest] as string[],
      /^2: records 2 to 4 /,
    ],
    [
      'one stands there twice',
      ([a, b, ...rest]) => [a, b, b, ...rest] as string[],
      /^3: record 2 /,
    ],
    ['two are swapped', ([a, b, c, ...rest]) => [a, c, b, ...rest] as string[], /^2: record 2 /],
    [
      'the first is missing',
      (lines) => lines.slice(1),
      /^1: .*begins in the middle, with record 2/,
    ],
    [
      'a line was added',
      (lines) => [...lines, '{"event":"call"}\n'],
      /^7: is not an audit record \(16 bytes\)/,
    ],
    [
      'an empty line was added',
      ([a, ...rest]) => [a, '\n', ...rest] as string[],
      /^2: is not an audit record \(1 bytes\)/,
    ],
    [
      'the last is cut',
      (lines) => [lines.join('').slice(0, -9)],
      /^6: is not an audit record \(\d+ bytes\)/,
    ],
    ['something stands behind the end', (lines) => [...lines, lines[5] as string], /^7: .*its end/],
    [
      'all but the start of another run is there',
      () => run(2, { prev: 'x'.repeat(43) }),
      /^1: .*follows is missing/,
    ],
  ])('show that %s', async (_what, change, expected) => {
    expect((await problemsOf(change(LINES).join('')))[0]).toMatch(expected)
  })

  it('show that the end is cut off by the head that is known, and by nothing else', async () => {
    const heads = [hashOf(LINES[5] as string)]
    const cut = LINES.slice(0, 4).join('')
    expect(await problemsOf(cut)).toEqual([])
    expect(await problemsOf(cut, { heads })).toEqual([
      `4: the record with the hash ${heads[0]} is missing`,
    ])
  })

  it('may begin behind a record that is known', async () => {
    const rest = LINES.slice(3).join('')
    expect(await problemsOf(rest)).toHaveLength(1)
    expect(await problemsOf(rest, { after: [hashOf(LINES[2] as string)] })).toEqual([])
    expect(await problemsOf(rest, { after: [hashOf(LINES[1] as string)] })).toHaveLength(1)
  })

  it('with a key are good with that key only', async () => {
    const keyed = run(1, { key: KEY }).join('')
    expect(await problemsOf(keyed, { key: KEY })).toEqual([])
    expect((await problemsOf(keyed, { key: `${KEY}!` }))[0]).toMatch(/key is another one/)
    expect((await problemsOf(keyed))[0]).toMatch(/with a key, and none was given/)
    // whoever has no key can make a whole chain, but not one that takes it
    expect((await problemsOf(LINES.join(''), { key: KEY }))[0]).toMatch(/without the key/)
    expect((await problemsOf(keyed.replaceAll('"mac"', '"hash"'), { key: KEY }))[0]).toMatch(
      /without/,
    )
  })

  it('are read within bounds, whatever a file holds', async () => {
    const hostile = [
      '{"__proto__":{"event":"stop"},"writer":"a","seq":1,"prev":null,"hash":"',
      `{"a":${'['.repeat(5_000)}`,
      'x'.repeat(2_000_000),
      '\0'.repeat(5_000),
      ...Array.from({ length: 500 }, (_, i) => `line ${i}`),
    ].join('\n')
    const report = await verify(hostile)
    expect(report.ok).toBe(false)
    expect(report.problems.length).toBe(100)
    expect(report.moreProblems).toBe(404)
    expect(report.problems[0]?.problem).toMatch(/\d bytes\); is this an audit file\?$/)
  })
})
