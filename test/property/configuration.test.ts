import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDocument } from '../../src/config/file.js'
import { ConfigError, loadConfig } from '../../src/config/load.js'
import { SETTINGS } from '../../src/config/settings.js'
import { createFolder } from '../helpers/folder.js'

const NAMES = ['x.json', 'x.yaml', 'x.yml'] as const

const words = SETTINGS.flatMap(({ key }) => key.split('.')).filter((word) => word !== '*')

const hostileNames = ['__proto__', 'constructor', 'prototype', 'toString', '', '*', 'a.b', '\u0000']

const member = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...words) },
  { weight: 2, arbitrary: fc.constantFrom('api', 'profiles', 'docs', '$schema', ...hostileNames) },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
)

// biome-ignore-start lint/suspicious/noTemplateCurlyInString: references of the configuration
const scalar = fc.oneof(
  fc.constantFrom(
    'http://127.0.0.1:1/mcp',
    '${HOME}',
    '${',
    '@/nowhere',
    'P2abc',
    '*',
    '1e999',
    '',
  ),
  fc.constantFrom(null, true, -1, 0, 1.5, 1e308, 80),
  fc.string({ maxLength: 12 }),
)

// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'medium' },
    scalar,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.array(fc.tuple(member, tie('value')), { maxLength: 5 }).map((entries) => {
      const object = Object.create(null) as Record<string, unknown>
      for (const [name, inner] of entries) object[name] = inner
      return object
    }),
  ),
}))

/** Under settings that exist, so that more is looked at than the first level. */
const configuration = fc
  .record({
    server: value,
    descope: value,
    targets: fc.oneof(value, fc.dictionary(member, value, { maxKeys: 3 })),
    log: value,
    profiles: value,
    __proto__: value,
  })
  .map((content) => JSON.stringify(content))

const pieces = fc
  .array(
    fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        ': ',
        '\n',
        '  ',
        '- ',
        '? ',
        '&a ',
        '*a',
        '<<: ',
        '!!js/x ',
      ],
      ...[
        '|\n',
        '>-\n',
        '"',
        "'",
        '#',
        '%YAML 1.1\n',
        '---\n',
        '...\n',
        '//',
        '/*',
        '\t',
        '\u0085',
      ],
      ...['a', '1', 'null', '.inf', '0x1F', '\\u0000', '\ufeff', '__proto__', 'targets', 'server'],
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''))

const broken = fc
  .tuple(configuration, fc.nat(), fc.string({ maxLength: 3 }))
  .map(([text, at, put]) => {
    const place = at % (text.length + 1)
    return text.slice(0, place) + put + text.slice(place + 1)
  })

const document = fc.oneof(configuration, pieces, broken)

const WHERE = /\(file \.\/x\.(json|ya?ml)(:\d+)?\)|line \d+|\(flag --config\)/

describe('a configuration file, whatever it holds', () => {
  it('gives a configuration, or an error that names the file', () => {
    const cwd = createFolder()
    fc.assert(
      fc.property(document, fc.constantFrom(...NAMES), (text, name) => {
        writeFileSync(join(cwd, name), text)
        const where = { cwd, env: {}, homeDir: cwd, platform: 'linux' as const }
        try {
          loadConfig(where, { flags: { config: name }, for: 'report' })
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error
          expect(error.code).toBe('CONFIG_INVALID')
          for (const problem of error.problems) expect(problem.length).toBeLessThan(10_000)
          const ofFile = error.problems.filter((problem) => WHERE.test(problem))
          const parsed = parseDocument(name, text)
          if (typeof parsed === 'string') expect(ofFile).toHaveLength(error.problems.length)
        }
        expect(Object.keys(Object.prototype)).toEqual([])
      }),
      { numRuns: 400 },
    )
  })

  it('says in which line a setting is wrong', () => {
    const cwd = createFolder()
    const lines = fc.nat({ max: 30 })
    const wrong = fc.constantFrom('[]', '{"a":{}}', '-1', '"no port"', '1e99')
    fc.assert(
      fc.property(lines, wrong, fc.constantFrom(...NAMES), (blank, text, name) => {
        const content = `{${'\n'.repeat(blank)}"server": {"port": ${text}}}`
        writeFileSync(join(cwd, name), content)
        const where = { cwd, env: {}, homeDir: cwd, platform: 'linux' as const }
        expect(() => loadConfig(where, { flags: { config: name }, for: 'report' })).toThrow(
          `(file ./${name}:${blank + 1})`,
        )
      }),
      { numRuns: 100 },
    )
  })

  it.each([
    ['x.json', 'a member that leads to the prototype', '{"__proto__": {"server": {"port": 1}}}'],
    ['x.yaml', 'a member that leads to the prototype', '__proto__: {server: {port: 1}}\n'],
    [
      'x.json',
      'a target of that name',
      '{"targets": {"__proto__": {"url": "http://127.0.0.1:1"}}}',
    ],
    ['x.yaml', 'a merge key with one', '<<: {__proto__: {server: {port: 1}}}\n'],
  ])('in %s, %s is refused and changes nothing', (name, _what, text) => {
    const cwd = createFolder({ [name]: text })
    const where = { cwd, env: {}, homeDir: cwd, platform: 'linux' as const }
    expect(() => loadConfig(where, { flags: { config: name }, for: 'report' })).toThrow('__proto__')
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  it('is refused where aliases of YAML nest what would be too deep if it were written out', () => {
    const cwd = createFolder()
    const where = { cwd, env: {}, homeDir: cwd, platform: 'linux' as const }
    for (const count of [2, 20, 60, 200]) {
      const nested = (inner: string) => `${'['.repeat(150)}${inner}${']'.repeat(150)}`
      const anchors = Array.from({ length: count }, (_, at) => {
        return `a${at}: &a${at} ${nested(at === 0 ? '1' : `*a${at - 1}`)}\n`
      })
      const text = `${anchors.join('')}targets: {t: {tools: {allow: *a${count - 1}}}}\n`
      writeFileSync(join(cwd, 'x.yaml'), text)
      expect(() => loadConfig(where, { flags: { config: 'x.yaml' }, for: 'report' })).toThrow(
        /aliases (make more than 200 levels|repeat more than 100 parts)/,
      )
    }
  })

  it.each([
    ['<<: 1\n', '"<<" merges something that is not an object'],
    [`a: ${'!'.repeat(60_000)} 1\n`, 'The !'],
    [`a: *${'x'.repeat(60_000)}\n`, 'an alias has no anchor'],
    ['a: &a [*a]\n', 'an alias refers to a node around itself'],
  ])('is refused with its own reason, in a short sentence: %#', (text, reason) => {
    const found = parseDocument('x.yaml', text)
    expect(found).toContain(reason)
    expect(String(found).length).toBeLessThan(500)
  })
})
