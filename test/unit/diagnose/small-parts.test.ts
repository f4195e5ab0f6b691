import { InvalidArgumentError } from 'commander'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCall } from '../../../src/cli/check-options.js'
import {
  type Check,
  type CheckReport,
  fail,
  pass,
  skip,
  warn,
} from '../../../src/diagnose/check.js'
import { schemaProblems } from '../../../src/diagnose/checks/mcp-schemas.js'
import { outputProblem } from '../../../src/diagnose/checks/output-schema.js'
import { describeCertificate } from '../../../src/diagnose/connect.js'
import { gatherSkipped, wrap } from '../../../src/diagnose/reporters/text.js'
import { runChecks } from '../../../src/diagnose/run.js'
import { parseBaseline } from '../../../src/usecases/test-target/resolve-target.js'

const clock = { now: () => 0 }

const clean = (text: string) => text

const noOptions = { clock, clean, only: [], leaveOut: [], baseline: undefined }

describe('parseCall', () => {
  it.each([
    ['search', {}, false, undefined],
    [' search {"q":"a b"} ', { q: 'a b' }, false, undefined],
    ['search {"q":1} expect {"contains":"x"}', { q: 1 }, false, 'x'],
    ['search expect {"isError":true}', {}, true, undefined],
    ['search {"q":"what I expect {"}', { q: 'what I expect {' }, false, undefined],
    ['search {"q":"expect"} expect {"contains":"expect"}', { q: 'expect' }, false, 'expect'],
  ])('reads %s', (text, args, isError, contains) => {
    expect(parseCall(text)).toEqual({ tool: 'search', arguments: args, isError, contains })
  })

  it.each([
    '',
    'search [1]',
    'search {"q":',
    'search {} expect {"isError":"yes"}',
    'search {} expect {"jsonpath":"$"}',
    'search {} expect',
  ])('refuses %s', (text) => {
    expect(() => parseCall(text)).toThrow(InvalidArgumentError)
  })
})

describe('parseBaseline', () => {
  it('takes every id, remarks and empty lines', () => {
    const text = 'reach.dns\r\n# all\n\ntools.call:a#2 # why\nbudget.p95'
    expect([...parseBaseline(text, 'f')]).toEqual(['reach.dns', 'tools.call:a#2', 'budget.p95'])
  })
})

describe('runChecks', () => {
  const check = (id: string, needs: string[], verdict: Check['run']): Check => ({
    id,
    needs,
    run: verdict,
  })

  it('skips what a failure makes pointless, however far away, and names the first', async () => {
    const { reports, failures } = await runChecks(
      [
        check('a', [], async () => fail('broken', 'mend it', 'TARGET_UNREACHABLE')),
        check('b', ['a'], async () => pass('never')),
        check('c', ['b'], async () => pass('never')),
        check('d', [], async () => skip('not here')),
        check('e', ['d'], async () => pass('fine')),
      ],
      noOptions,
    )
    expect(reports.map(({ id, outcome }) => `${id} ${outcome}`)).toEqual([
      'a fail',
      'b skip',
      'c skip',
      'd skip',
      'e pass',
    ])
    expect(reports[2]?.detail).toBe('not checked, because a failed')
    expect(failures).toEqual(['TARGET_UNREACHABLE'])
  })

  it('never lets an exception pass', async () => {
    const broken = check('a', [], () => Promise.reject(new TypeError('x is undefined')))
    const { reports, failures } = await runChecks([broken], noOptions)
    expect(reports).toMatchObject([
      { outcome: 'fail', detail: 'the check itself failed: x is undefined' },
    ])
    expect(failures).toEqual(['CHECK_FAILED'])
  })

  it('refuses to run nothing', async () => {
    const options = { ...noOptions, leaveOut: ['*'] }
    await expect(runChecks([check('a', [], async () => pass(''))], options)).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  it('takes a warning that is expected as such', async () => {
    const baseline = { ids: new Set(['a']), file: 'f' }
    const checks = [check('a', [], async () => warn('odd', 'mend it'))]
    const { reports, failures } = await runChecks(checks, { ...noOptions, baseline })
    expect(reports).toMatchObject([{ outcome: 'warn', expected: true }])
    expect(failures).toEqual([])
  })
})

describe('the text', () => {
  it('is broken into lines that fit and lose nothing', () => {
    const words = fc.array(fc.stringMatching(/^[a-z]{1,30}$/), { maxLength: 20 })
    fc.assert(
      fc.property(words, fc.integer({ min: 8, max: 60 }), (list, width) => {
        const lines = wrap(list.join(' '), width)
        expect(lines.every((line) => line.length <= width)).toBe(true)
        expect(lines.join('').replaceAll(' ', '')).toBe(list.join(''))
      }),
    )
  })

  it('puts three or more checks that were skipped for one reason into one', () => {
    const skipped = (id: string, detail = 'why'): CheckReport => {
      return { id, outcome: 'skip', detail, hint: null, ms: 0 }
    }
    const passed: CheckReport = { id: 'z', outcome: 'pass', detail: 'ok', hint: null, ms: 0 }
    const three = [skipped('a'), skipped('b'), skipped('c')]
    expect(gatherSkipped(three, passed).ready.map(({ id }) => id)).toEqual(['3 checks', 'z'])
    expect(gatherSkipped(three.slice(1), passed).ready.map(({ id }) => id)).toEqual(['b', 'c', 'z'])
    expect(gatherSkipped([skipped('a')], skipped('b', 'else'))).toMatchObject({
      ready: [{ id: 'a' }],
      held: [{ id: 'b' }],
    })
    expect(gatherSkipped([], undefined)).toEqual({ ready: [], held: [] })
  })
})

describe('schemaProblems', () => {
  it.each([
    ['tools/list', { tools: [{ inputSchema: { type: 'object' } }] }, 'result.tools[0].name'],
    ['initialize', { protocolVersion: '2025-11-25', capabilities: {} }, 'result.serverInfo'],
    ['resources/list', { resources: [{ name: 'a' }] }, 'result.resources[0].uri'],
    ['prompts/list', { prompts: {} }, 'result.prompts'],
    [
      'server/discover',
      { supportedVersions: ['2026-07-28'], capabilities: {}, ttlMs: 1 },
      'result.cacheScope',
    ],
    ['tools/call', { content: [{ type: 'image', data: 'AA==' }] }, 'result.content[0].mimeType'],
  ])('names the place in %s', (method, result, path) => {
    expect(schemaProblems({ method, result })[0]).toMatch(
      new RegExp(`^${method}: ${path.replace(/[[\].]/g, '\\$&')}: `),
    )
  })

  it('leaves unknown members alone', () => {
    const result = { tools: [{ name: 'a', inputSchema: { type: 'object' }, x: 1 }], y: 2 }
    expect(schemaProblems({ method: 'tools/list', result })).toEqual([])
  })
})

describe('outputProblem', () => {
  const draft7 = 'http://json-schema.org/draft-07/schema#'
  const pair = { type: 'array', prefixItems: [{ type: 'string' }], items: { type: 'number' } }
  it.each([
    [
      { properties: { a: pair } },
      { a: ['x', 'y'] },
      'result.structuredContent.a[1] must be number',
    ],
    [{ additionalProperties: false }, { b: 1 }, /additional properties \("b"\)$/],
    [{ required: ['a'] }, {}, "result.structuredContent must have required property 'a'"],
    [
      {
        $schema: draft7,
        definitions: { n: { type: 'number' } },
        items: { $ref: '#/definitions/n' },
      },
      ['x'],
      /\[0\] must/,
    ],
  ])('says where %j is broken', (schema, content, text) => {
    const problem = outputProblem(schema, content)
    expect(problem?.of).toBe('result')
    expect(problem?.text).toMatch(text)
  })

  it.each([
    [{ properties: { a: pair } }, { a: ['x', 1] }],
    [{ properties: { a: { const: { x: 1 } } } }, { a: { x: 1 } }],
    [{ properties: { a: { type: 'string', format: 'made-up', 'x-note': 1 } } }, { a: 'b' }],
  ])('takes what fits %j', (schema, content) => {
    expect(outputProblem(schema, content)).toBeUndefined()
  })

  it('says what is wrong with a schema', () => {
    expect(outputProblem({ properties: { a: { pattern: '(' } } }, {})).toMatchObject({
      of: 'schema',
      text: expect.stringContaining('Invalid regular expression'),
    })
  })
})

describe('describeCertificate', () => {
  const day = 86_400_000
  const judge = (left: number, life: number) => {
    const dates = { valid_from: left - life, valid_to: left }
    const [from, to] = [dates.valid_from, dates.valid_to].map((days) =>
      new Date(days * day).toUTCString(),
    )
    const certificate = { valid_from: from, valid_to: to } as never
    return describeCertificate({ kind: 'open', protocol: 'TLSv1.3', certificate }, 0)
  }

  it.each([
    [61, 90, 'pass', 'TLS 1.3, 61 days left'],
    [14, 90, 'pass', 'TLS 1.3, 14 days left'],
    [13, 90, 'warn', 'TLS 1.3, 13 days left'],
    [1, 90, 'warn', 'TLS 1.3, 1 day left'],
    // renewed late on purpose
    [3, 6, 'pass', 'TLS 1.3, 3 days left of 6'],
    [0, 6, 'warn', 'TLS 1.3, 0 days left'],
  ])('of %i days left of %i is %s', (left, life, outcome, detail) => {
    expect(judge(left, life)).toMatchObject({ outcome, detail })
  })
})
