import { describe, expect, it } from 'vitest'
import { paramHeaders, scanParams } from '../../../../src/upstream/translate/param-headers.js'

const header = (name: unknown, type: unknown = 'string') => ({ type, 'x-mcp-header': name })

const schema = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more })

describe('scanParams', () => {
  it.each([
    ['no schema', undefined],
    ['no annotation', schema({ a: { type: 'string' } })],
    [
      'a property that has the annotation as its name',
      schema({ 'x-mcp-header': { type: 'object' } }),
    ],
    ['an annotation among values', schema({ a: { const: header('A'), default: header('B') } })],
    [
      'an annotation among examples',
      schema({ a: { examples: [header('A')], enum: [header('B')] } }),
    ],
    ['a definition that has the annotation as its name', { $defs: { 'x-mcp-header': {} } }],
  ])('finds nothing in %s', (_what, inputSchema) => {
    expect(scanParams(inputSchema)).toEqual({ valid: true, params: [] })
  })

  it('finds annotations at every depth of properties', () => {
    const inputSchema = schema({ a: header('One'), b: schema({ c: header('Two', 'boolean') }) })
    expect(scanParams(inputSchema)).toEqual({
      valid: true,
      params: [
        { header: 'mcp-param-one', path: ['a'] },
        { header: 'mcp-param-two', path: ['b', 'c'] },
      ],
    })
  })

  it.each([
    ['an empty name', schema({ a: header('') }), 'no name for a header'],
    ['a space', schema({ a: header('a b') }), 'no name for a header'],
    ['a line break', schema({ a: header('a\r\nb') }), 'no name for a header'],
    ['a number as its name', schema({ a: header(1) }), 'no name for a header'],
    ['a number', schema({ a: header('A', 'number') }), 'something else than'],
    ['an object', schema({ a: header('A', 'object') }), 'something else than'],
    ['several types', schema({ a: header('A', ['string', 'null']) }), 'something else than'],
    ['no type', schema({ a: { 'x-mcp-header': 'A' } }), 'something else than'],
    ['the same name', schema({ a: header('A'), b: header('a') }), 'stands there twice'],
    ['the top', header('A'), 'no plain property'],
    ['items', schema({ a: { items: header('A') } }), 'no plain property'],
    ['additionalProperties', schema({ a: { additionalProperties: header('A') } }), 'no plain'],
    ['patternProperties', schema({}, { patternProperties: { x: header('A') } }), 'no plain'],
    ['oneOf', schema({ a: { oneOf: [header('A')] } }), 'no plain property'],
    ['properties in allOf', schema({}, { allOf: [schema({ a: header('A') })] }), 'no plain'],
    ['else', schema({}, { else: schema({ a: header('A') }) }), 'no plain property'],
    ['$defs', schema({}, { $defs: { x: header('A') } }), 'no plain property'],
  ])('refuses %s', (_what, inputSchema, reason) => {
    expect(scanParams(inputSchema)).toEqual({
      valid: false,
      reason: expect.stringContaining(reason),
    })
  })
})

describe('paramHeaders', () => {
  const params = [{ header: 'mcp-param-a', path: ['a', 'b'] }]

  it.each([
    ['plain', 'plain'],
    ['', '=?base64??='],
    [' padded ', '=?base64?IHBhZGRlZCA=?='],
    ['line1\nline2', '=?base64?bGluZTEKbGluZTI=?='],
    ['=?base64?literal?=', '=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?='],
    [42, '42'],
    [-7, '-7'],
    [false, 'false'],
  ])('writes %j', (value, text) => {
    expect(paramHeaders(params, { a: { b: value } })).toEqual(['mcp-param-a', text])
  })

  it.each([
    ['null', { a: { b: null } }],
    ['an object', { a: { b: {} } }],
    ['an unsafe integer', { a: { b: 2 ** 53 } }],
    ['a fraction', { a: { b: 1.5 } }],
    ['nothing', { a: {} }],
    ['no object on the way', { a: 'text' }],
    ['no arguments', undefined],
  ])('writes no header for %s', (_what, args) => {
    expect(paramHeaders(params, args)).toEqual([])
  })

  it('does not take what every object inherits for an argument', () => {
    expect(paramHeaders([{ header: 'h', path: ['constructor', 'name'] }], {})).toEqual([])
  })
})
