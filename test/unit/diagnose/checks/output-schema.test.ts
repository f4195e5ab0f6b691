import { describe, expect, it } from 'vitest'
import { outputProblem } from '../../../../src/diagnose/checks/output-schema.js'

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
