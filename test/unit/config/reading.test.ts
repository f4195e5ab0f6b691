import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDocument } from '../../../src/config/file.js'
import { readSettings } from '../../../src/config/load.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const RC = '.mcp-descope-proxyrc'

/** Every problem of the configuration in a folder with these files. */
function problemsIn(files: Record<string, unknown>, env: Record<string, string> = {}): string[] {
  const runtime = createTestRuntime({ cwd: createFolder(files), env })
  return [...readSettings(runtime, { flags: {}, for: 'report' }).problems]
}

describe('a syntax error in a configuration file is told with line, column and reason', () => {
  it.each([
    [`${RC}.json`, '{\n  "log": {"level": "info"}\n  "names": {}\n}', 3, 3, 'a comma is missing'],
    [`${RC}.json`, '{\n  "log": {\n', 3, 1, 'a "}" is missing'],
    [`${RC}.json`, "{\n  'log': {}\n}", 2, 3, 'text that is not JSON'],
    [`${RC}.json`, '{"log": {"level": "in\nfo"}}', 1, 19, 'a string is not closed'],
    [`${RC}.json`, '{}\n{}', 2, 1, 'unexpected text after the end'],
    [RC, ' {"log" {}}', 1, 9, 'a colon is missing'],
    ['mcp-descope-proxy.config.yaml', 'log:\n  level: "info', 2, 15, 'Missing closing'],
    ['mcp-descope-proxy.config.yaml', 'log: {}\nnames: !!js/eval x', 2, 8, 'unknown tag'],
    ['package.json', '{\n  "mcp-descope-proxy": {,}\n}', 2, 25, 'a value is missing'],
  ])('%s with %j', (name, text, line, column, reason) => {
    const [problem] = problemsIn({ [name]: text })
    expect(problem).toContain(`./${name} is broken: line ${line}, column ${column}: `)
    expect(problem).toContain(reason)
  })

  it('an empty JSON file is told, and an empty YAML file is none', () => {
    expect(problemsIn({ [`${RC}.json`]: '' })).toEqual([expect.stringContaining('it is empty')])
    expect(problemsIn({ [`${RC}.yaml`]: '# nothing\n' })).toEqual([])
  })
})

describe('a member that appears twice is refused with both lines', () => {
  it.each([
    ['x.json', '{\n"a": 1,\n"b": 2,\n"a": 3\n}', '"a" appears twice, in line 2 and in line 4'],
    [
      'x.json',
      '{"t": {"x": {\n"deny": ["*"],\n"\\u0064eny": []}}}',
      '"deny" appears twice, in line 2 and in line 3',
    ],
    ['x.json', '{"a": [{"b": 1,\n"b": 1}]}', '"b" appears twice, in line 1 and in line 2'],
    [
      'x.json',
      '{\n"__proto__": 1,\n"__proto__": 2}',
      '"__proto__" appears twice, in line 2 and in line 3',
    ],
    ['x.json', '{"a": 1, // "a": 1\n"a": 2,}', '"a" appears twice, in line 1 and in line 2'],
    ['x.yaml', 'a: 1\nb:\n  c: 1\n  d: 1\n  c: 2', '"c" appears twice, in line 3 and in line 5'],
    ['x.yaml', 'deny: 1\n"\\x64eny": 2', '"deny" appears twice, in line 1 and in line 2'],
    ['x.yaml', "deny: 1\n'deny': 2", '"deny" appears twice, in line 1 and in line 2'],
    ['x.yaml', '1: a\n"1": b', '"1" appears twice, in line 1 and in line 2'],
    ['x.yaml', 'a: {b: 1,\n b: 2}', '"b" appears twice, in line 1 and in line 2'],
    [
      'x.yaml',
      'x: &x {a: 1}\ny: &y {b: 1}\nz:\n  <<: *x\n  <<: *y',
      '"<<" appears twice, in line 4 and in line 5',
    ],
  ])('%s with %j', (name, text, reason) => {
    expect(parseDocument(name, text)).toContain(reason)
  })

  it('in the property of a package.json, and nowhere else in it', () => {
    const twice = (more: string) =>
      `{"scripts": {"a": "1", "a": "2"}, "mcp-descope-proxy": ${more}}`
    expect(problemsIn({ 'package.json': twice('{"log": {}}') })).toEqual([])
    expect(problemsIn({ 'package.json': twice('{"log": {},\n"log": {}}') })).toEqual([
      expect.stringContaining('"log" appears twice, in line 1 and in line 2'),
    ])
    expect(problemsIn({ 'package.json': twice('{}, "mcp-descope-proxy": {"log": {}}') })).toEqual([
      expect.stringContaining('"mcp-descope-proxy" appears twice'),
    ])
  })

  it('what stands once in each of several objects is taken', () => {
    const json = '{"targets": {"a": {"url": "x"}, "b": {"url": "y"}, "A": {}}}'
    expect(parseDocument('x.json', json)).toMatchObject({ content: { targets: { A: {} } } })
    const yaml = 'base: &b {deny: [x], allow: [y]}\nt:\n  <<: *b\n  deny: [z]'
    expect(parseDocument('x.yaml', yaml)).toMatchObject({
      content: { t: { deny: ['z'], allow: ['y'] } },
    })
  })
})

describe('a document that was made to take long is refused', () => {
  const levels = 'abcdefghijk'.split('')
  const bomb = (item: (anchor: string) => string) =>
    levels.map((name, at) => `${name}: &${name} ${at === 0 ? 'x' : item(levels[at - 1] ?? '')}`)
  const nine = (anchor: string) => Array(9).fill(`*${anchor}`)
  it.each([
    ['lists of aliases', bomb((anchor) => `[${nine(anchor)}]`).join('\n'), 'aliases'],
    [
      'maps of aliases',
      bomb((anchor) => `{${nine(anchor).map((alias, at) => `k${at}: ${alias} `)}}`).join('\n'),
      'aliases',
    ],
    ['an alias in itself', 'a: &a [*a]', 'an alias refers to a node around itself'],
    ['open brackets', '['.repeat(250_000), 'levels'],
    ['open braces', '{a: '.repeat(50_000), 'levels'],
    ['dashes', '- '.repeat(100_000), 'levels'],
    ['question marks', '? '.repeat(100_000), 'levels'],
    ['colons', ': '.repeat(100_000), 'levels'],
    [
      'indentation',
      Array.from({ length: 400 }, (_, at) => `${' '.repeat(at)}a:`).join('\n'),
      'levels',
    ],
    ['brackets behind strings', '["]", '.repeat(40_000), 'levels'],
    ['brackets below a list that ended', `a: [\nb:\n${'- '.repeat(1_000)}`, 'levels'],
    ['closing braces', '} '.repeat(120_000), 'more than 100000 tokens'],
  ])('%s in YAML', (_name, text, reason) => {
    expect(parseDocument('x.yaml', text)).toContain(reason)
  })

  it.each([
    ['open brackets', '['.repeat(250_000)],
    ['objects', '{"a":'.repeat(50_000)],
    ['objects behind comments', '/*]*/{"a":'.repeat(20_000)],
  ])('%s in JSON', (_name, text) => {
    expect(parseDocument('x.json', text)).toContain('more than 200 levels')
  })

  it('what people write is not', () => {
    const anchors = ['base: &base {allow: [a, b]}', 'targets:']
    const used = Array.from({ length: 60 }, (_, at) => `  t${at}: {tools: *base}`)
    expect(parseDocument('x.yaml', [...anchors, ...used].join('\n'))).toMatchObject({
      content: { targets: { t59: { tools: { allow: ['a', 'b'] } } } },
    })
    const literal = `a: |\n${'  a line of some length\n'.repeat(5_000)}b: 1\n`
    expect(parseDocument('x.yaml', literal)).toMatchObject({ content: { b: 1 } })
    const folded = `a: ${'word '.repeat(20_000)}\nb: ${'[["*"]'.repeat(1)}]`
    expect(parseDocument('x.yaml', folded)).toMatchObject({ content: { b: [['*']] } })
  })

  it('any text gets a document or a reason', () => {
    const part = fc.constantFrom(...'[]{}:,-?&*!|>\'"#%@` \n\t\\ab1'.split(''), '<<: ', '/*', '//')
    fc.assert(
      fc.property(
        fc.array(part, { maxLength: 60 }),
        fc.constantFrom('x.yaml', 'x.json'),
        (parts, name) => {
          const found = parseDocument(name, parts.join(''))
          expect(typeof found === 'string' || typeof found.content === 'object').toBe(true)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it('JSON means what it means to everybody', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (content) => {
        const text = JSON.stringify(content)
        expect(JSON.stringify(parseDocument('x.json', text))).toBe(
          JSON.stringify({
            ...(parseDocument('x.json', text) as object),
            content: JSON.parse(text),
          }),
        )
      }),
    )
  })
})

describe('a file that is too large, or cannot be read, is told', () => {
  const large = `# ${'x'.repeat(1_048_600)}`

  it.each([`${RC}.json`, 'mcp-descope-proxy.config.yaml', '.env'])('%s', (name) => {
    expect(problemsIn({ [name]: large })).toEqual([expect.stringMatching(/larger than \d+ [KM]iB/)])
  })

  it('the file of a secret, and one that never ends', () => {
    const credential = (token: string) => ({ type: 'bearer', token })
    const targets = {
      a: { url: 'https://a.example.com', credential: credential('@./large') },
      b: { url: 'https://b.example.com', credential: credential('@/dev/zero') },
      c: { url: 'https://c.example.com', credential: credential('@./none') },
    }
    expect(problemsIn({ [`${RC}.json`]: { targets }, large })).toEqual([
      expect.stringContaining('the file ./large cannot be read (larger than 1 MiB)'),
      expect.stringContaining('the file /dev/zero cannot be read (larger than 1 MiB)'),
      expect.stringContaining('the file ./none cannot be read ('),
    ])
  })

  it('a named file that never ends', () => {
    expect(problemsIn({}, { MCP_DESCOPE_CONFIG: '/dev/zero' })).toEqual([
      expect.stringContaining('cannot be read (larger than 256 KiB) (env MCP_DESCOPE_CONFIG)'),
    ])
  })

  it('a link of the folder that leads in a circle', () => {
    const cwd = createFolder()
    symlinkSync(`${RC}.json`, join(cwd, `${RC}.json`))
    const { problems } = readSettings(createTestRuntime({ cwd }), { flags: {}, for: 'report' })
    expect(problems).toEqual([expect.stringContaining(`./${RC}.json cannot be read (ELOOP)`)])
  })

  it('and a folder of that name is passed over', () => {
    const cwd = createFolder()
    mkdirSync(join(cwd, RC))
    mkdirSync(join(cwd, '.env'))
    writeFileSync(join(cwd, `${RC}.json`), '{"log": {"level": "debug"}}')
    const { problems, values } = readSettings(createTestRuntime({ cwd }), {
      flags: {},
      for: 'report',
    })
    expect(problems).toEqual([])
    expect(values.get('log.level')?.value).toBe('debug')
  })
})
