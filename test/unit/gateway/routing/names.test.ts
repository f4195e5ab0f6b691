import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createNames } from '../../../../src/gateway/routing/names.js'

const MAX = 32

const named = (...prefixes: string[]) =>
  prefixes.map((prefix) => ({ name: prefix || 'bare', prefix }))

const prefixes = fc.uniqueArray(
  fc.oneof(
    fc.constantFrom('a', 'a_b', 'a_b_c', 'b', ''),
    fc.stringMatching(/^[a-z][a-z0-9-]{0,9}$/),
  ),
  { minLength: 1, maxLength: 4 },
)

const toolName = fc.oneof(
  fc.constantFrom('b', 'b_c', 'c', '_', 'a_b_c', 'get.weather', 'Grüße', 'x'.repeat(90)),
  fc.stringMatching(/^[A-Za-z0-9_.-]{1,60}$/),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }),
)

describe('exposed names', () => {
  it('[mcp-name-format] lead back to the target and its own name', () => {
    fc.assert(
      fc.property(prefixes, fc.array(fc.tuple(fc.nat(), toolName)), (all, tools) => {
        const targets = named(...all)
        const names = createNames(targets, MAX)
        const given = tools.map(([index, name]) => {
          const target = targets[index % targets.length]!
          return { target, name, exposed: names.expose(target, name) }
        })
        for (const { target, name, exposed } of given) {
          expect(names.route(exposed)).toEqual({ target, name })
          expect(exposed).toMatch(/^[A-Za-z0-9_-]+$/)
          expect(exposed.length).toBeLessThanOrEqual(MAX)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('are the same in two processes, whatever was asked before', () => {
    fc.assert(
      fc.property(prefixes, fc.array(toolName, { minLength: 1 }), (all, tools) => {
        const targets = named(...all)
        const [one, two] = [createNames(targets, MAX), createNames(targets, MAX)]
        const ask = (names: typeof one, list: string[]) =>
          new Map(list.map((name) => [name, names.expose(targets[0]!, name)]))
        const backwards = ask(two, [...tools].reverse())
        for (const [name, exposed] of ask(one, tools)) expect(backwards.get(name)).toBe(exposed)
      }),
    )
  })

  it.each([
    ['docs', 'search', 'docs_search'],
    ['', 'search', 'search'],
    ['docs', 'a-b_c', 'docs_a-b_c'],
  ])('are plain with the prefix %j and the name %s', (prefix, name, exposed) => {
    const [target] = named(prefix)
    expect(createNames([target!], MAX).expose(target!, name)).toBe(exposed)
  })

  it('go to the longest prefix that fits', () => {
    const [a, ab, bare] = named('a', 'a_b', '')
    const names = createNames([a!, ab!, bare!], MAX)
    expect(names.route('a_b_c')).toEqual({ target: ab, name: 'c' })
    expect(names.route('a_c')).toEqual({ target: a, name: 'c' })
    expect(names.route('a_b_')).toEqual({ target: a, name: 'b_' })
    expect(names.route('c')).toEqual({ target: bare, name: 'c' })
    expect(names.route('')).toBeUndefined()
    expect(createNames([a!], MAX).route('b_c')).toBeUndefined()
  })

  it.each([
    ['another target owns the plain name', 'a', 'b_c', /^a_b_c_[0-9a-f]{6}$/],
    ['it has characters that clients refuse', 'b', 'get.é', /^b_get___[0-9a-f]{6}$/],
    ['it is too long', 'b', 'x'.repeat(31), /^b_x{23}_[0-9a-f]{6}$/],
  ])('become an alias when %s', (_title, prefix, name, alias) => {
    const targets = named('a', 'a_b', 'b')
    const target = targets.find((candidate) => candidate.prefix === prefix)!
    expect(createNames(targets, MAX).expose(target, name)).toMatch(alias)
  })

  it('are told once when they would lead to another target', () => {
    const [a, ab] = named('a', 'a_b')
    const told: unknown[] = []
    const names = createNames([a!, ab!], MAX, { onMeeting: (meeting) => told.push(meeting) })
    const alias = names.expose(a!, 'b_c')
    names.expose(a!, 'b_c')
    names.expose(ab!, 'c')
    names.expose(a!, 'x'.repeat(60))
    expect(told).toEqual([{ target: a, name: 'b_c', full: 'a_b_c', other: ab, alias }])
  })

  it('become two aliases when two long names differ at the end only', () => {
    const [a] = named('a')
    const names = createNames([a!], MAX)
    const long = 'x'.repeat(60)
    expect(names.expose(a!, `${long}1`)).not.toBe(names.expose(a!, `${long}2`))
  })

  it('become two aliases when the prefixed names of two targets read the same', () => {
    const [bare, docs] = named('', 'docs')
    const names = createNames([bare!, docs!], MAX)
    const long = 'x'.repeat(60)
    const [ofBare, ofDocs] = [names.expose(bare!, `docs_${long}`), names.expose(docs!, long)]
    expect(names.route(ofBare)).toEqual({ target: bare, name: `docs_${long}` })
    expect(names.route(ofDocs)).toEqual({ target: docs, name: long })
  })
})

describe('an alias', () => {
  const [a] = named('a')

  it('is unknown where it was not given out', () => {
    const exposed = createNames([a!], MAX).expose(a!, 'x'.repeat(60))
    const other = createNames([a!], MAX)
    expect(other.isUnknownAlias(exposed)).toBe(true)
    other.expose(a!, 'x'.repeat(60))
    expect(other.route(exposed)).toEqual({ target: a, name: 'x'.repeat(60) })
    expect(other.isUnknownAlias(exposed)).toBe(false)
  })

  it('is not unknown where it was given out', () => {
    const names = createNames([a!], MAX)
    expect(names.isUnknownAlias(names.expose(a!, 'x'.repeat(60)))).toBe(false)
  })

  it.each(['a_b', 'a_12345', 'a_12345g', `${'a'.repeat(MAX)}_123456`])('is not %s', (name) => {
    expect(createNames([a!], MAX).isUnknownAlias(name)).toBe(false)
  })

  it('is forgotten when there are too many, oldest first, and works again after a list', () => {
    const names = createNames([a!], MAX)
    const first = names.expose(a!, `${'x'.repeat(60)}-1`)
    for (let i = 0; i < 20_100; i++) names.expose(a!, `${'y'.repeat(60)}${i}`)
    expect(names.route(first)).toEqual({ target: a, name: first.slice('a_'.length) })
    expect(names.isUnknownAlias(first)).toBe(true)
    expect(names.expose(a!, `${'x'.repeat(60)}-1`)).toBe(first)
    expect(names.route(first)?.name).toBe(`${'x'.repeat(60)}-1`)
  })

  it('is not forgotten for the many names of another target', () => {
    const [one, other] = named('one', 'other')
    const names = createNames([one!, other!], MAX)
    const own = 'x'.repeat(60)
    const alias = names.expose(one!, own)
    for (let i = 0; i < 20_100; i++) names.expose(other!, `${'y'.repeat(60)}${i}`)
    expect(names.route(alias)).toEqual({ target: one, name: own })
  })

  it.each(['the other target first', 'the owner first'])(
    'that another target makes of its own names takes no name from the owner of its prefix: %s',
    (order) => {
      const clashes: unknown[] = []
      const [outer, inner] = named('a', 'a_b')
      const names = createNames([outer!, inner!], MAX, {
        onClash: (clash) => clashes.push(clash),
      })
      // what the outer target calls `b_x` is `a_b_x` with another end, as a tool of the inner one
      const alias = createNames([outer!, inner!], MAX).expose(outer!, 'b_x')
      const name = alias.slice('a_b_'.length)
      const claims = [() => names.expose(outer!, 'b_x'), () => names.expose(inner!, name)]
      for (const claim of order === 'the owner first' ? claims.reverse() : claims) claim()
      expect(names.route(alias)).toEqual({ target: inner, name })
      expect(clashes).toMatchObject([{ alias, winner: inner }])
    },
  )

  it('that stands for two tools leads to neither, and both are named once', () => {
    const clashes: unknown[] = []
    const names = createNames([a!], MAX, { onClash: (clash) => clashes.push(clash) })
    const seen = new Map<string, string>()
    let pair: string[] | undefined
    for (let i = 0; pair === undefined; i++) {
      const name = `${'x'.repeat(60)}${i}`
      const hash = createHash('sha256').update(`a\n${name}`).digest('hex').slice(0, 6)
      const other = seen.get(hash)
      if (other !== undefined) pair = [other, name]
      seen.set(hash, name)
    }
    const [one, two] = pair as [string, string]
    const alias = names.expose(a!, one)
    expect(names.route(alias)).toEqual({ target: a, name: one })
    expect(names.expose(a!, two)).toBe(alias)
    names.expose(a!, one)
    expect(names.route(alias)).toBeUndefined()
    const both = [one, two].map((name) => ({ target: a, name }))
    expect(clashes).toEqual([{ alias, both, winner: undefined }])
  })

  it('that is also the plain name of another tool leads to neither', () => {
    const clashes: { alias: string }[] = []
    for (const order of ['alias first', 'plain first']) {
      const names = createNames([a!], MAX, { onClash: (clash) => clashes.push(clash) })
      const long = 'x'.repeat(60)
      const alias = createNames([a!], MAX).expose(a!, long)
      const plain = alias.slice('a_'.length)
      for (const name of order === 'alias first' ? [long, plain] : [plain, long]) {
        expect(names.expose(a!, name)).toBe(alias)
      }
      expect(names.route(alias)).toBeUndefined()
    }
    expect(clashes).toHaveLength(2)
  })
})
