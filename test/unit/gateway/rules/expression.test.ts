import { describe, expect, it } from 'vitest'
import {
  compileExpression,
  EvaluationError,
  ExpressionError,
  type Facts,
  ToolFacts,
} from '../../../../src/gateway/rules/expression.js'
import { callerFacts, mapOf, readArguments } from '../../../../src/gateway/rules/facts.js'
import { parseMessageText } from '../../../../src/mcp/message.js'

const call = (args: string) =>
  readArguments(
    parseMessageText(
      `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":${args}}}`,
    ),
  )

const facts: Facts = {
  caller: mapOf({
    sub: 'U1',
    dct: 'T1',
    roles: ['user'],
    level: 3,
    tenants: { T1: { roles: ['admin'] } },
  }),
  tool: new ToolFacts('transfer', mapOf({ destructiveHint: true })),
  arguments: call(
    '{"amount":5000,"to":"a@example.com","tags":["x","y"],"constructor":1,"deep":{"a":null}}',
  ).values,
  target: 'bank',
  now: new Date('2026-12-01T12:30:00Z'),
}

const resultOf = (text: string): boolean | string => {
  try {
    return compileExpression(text).evaluate(facts)
  } catch (error) {
    if (error instanceof EvaluationError) return error.code
    throw error
  }
}

describe('an expression', () => {
  it.each([
    ['tool.name == "transfer" && arguments.amount > 1000', true],
    ['tool.annotations.destructiveHint', true],
    ['has(tool.annotations.readOnlyHint)', false],
    ['"admin" in caller.tenants[caller.dct].roles', true],
    ['has(caller.email) && caller.email.endsWith("@example.com")', false],
    ['arguments.to.matches("@example[.]com$")', true],
    ['arguments.tags.exists(t, t == "y")', true],
    ['arguments.deep.a == null', true],
    ['arguments.constructor == 1', true],
    ['now.getHours() >= 9 && now.getHours() < 18', true],
    ['now < timestamp("2026-01-01T00:00:00Z")', false],
    ['target in ["bank", "shop"]', true],
    ['int(caller.level) % 2 == 1', true],
    // from the specification's conformance suite
    ['size("\u{1F600}") == 1', true],
    ['9223372036854775807 + 1 > 0', 'integer_overflow'],
    ['1 / 0 > 0 || true', true],
    ['1 / 0 > 0 && false', false],
    ['[0, 2].exists(x, 4 / x == 2)', true],
    ['-7 / 2 == -3 && -7 % 3 == -1', true],
    ['dyn(1) == 1.0 && dyn(1) != "a"', true],
    ['duration("3600s") == duration("1h")', true],
    // what is not there, or is of another type, is an error
    ['caller.email == "x"', 'no_such_key'],
    ['arguments.__proto__ == 1', 'no_such_key'],
    ['arguments["toString"] == 1', 'no_such_key'],
    ['arguments.tags[5] == "x"', 'no_such_key'],
    ['caller.level', 'not_a_boolean'],
  ])('gives what the specification says: %s', (text, value) => {
    const found = resultOf(text)
    if (typeof value === 'string') expect(typeof found).toBe('string')
    else expect(found).toBe(value)
  })

  it.each([
    ['tool.nme == "x"', 1, 6, /nme/],
    ['user.name == "x"', 1, 1, /Unknown variable: user/],
    ['caller.sub ==\n  "x" &&', 2, 9, /Unexpected/],
    ['target ==\n  1', 1, 1, /no such overload/],
    ['tool.name', 1, 1, /not true or false/],
    ['nothing(target)', 1, 1, /nothing/],
    ['arguments.a.matches(arguments.b)', 1, 21, /must be written in the rule/],
    ['arguments.a.matches("(a")', 1, 21, /RE2/],
    ['arguments.a.matches("(?=a)")', 1, 21, /RE2/],
    ['arguments.a.matchesLinearly("a")', 1, 1, /Unknown function/],
    ['arguments.a.all(x, arguments.b.all(y, x == y))', 1, 20, /costs too much/],
    ['arguments.a.all(target, target == "x")', 1, 17, /name of a variable/],
    [`${'('.repeat(80)}true${')'.repeat(80)}`, 1, 65, /depth/i],
  ])('is refused with line and column: %s', (text, line, column, message) => {
    let error: unknown
    try {
      compileExpression(text)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(ExpressionError)
    expect((error as ExpressionError).message).toMatch(message)
    expect([text, (error as ExpressionError).at]).toEqual([text, { line, column }])
  })

  it('knows what it mentions, and not by what stands in a text', () => {
    const { mentions, conjuncts } = compileExpression(
      'tool.name == "arguments" && (caller.x == 1 || now < now) && has(caller.y)',
    )
    expect([...mentions].sort()).toEqual(['caller', 'now', 'tool'])
    expect(conjuncts.map((part) => [...part.mentions])).toEqual([
      ['tool'],
      ['caller', 'now'],
      ['caller'],
    ])
  })

  it('matches patterns in time that grows with the text alone, and not without end', () => {
    const evil = compileExpression('caller.x.matches("^(a+)+$")')
    const caller = (length: number) => ({
      ...facts,
      caller: mapOf({ x: `${'a'.repeat(length)}!` }),
    })
    expect(evil.evaluate(caller(20_000))).toBe(false)
    expect(() => evil.evaluate(caller(200_000))).toThrow('too_much_to_match')
  })
})

describe('arguments', () => {
  it.each([
    ['{"path":"/a","path":"/b"}', 'arguments_ambiguous'],
    ['{"o":{"a":1,"\\u0061":2}}', 'arguments_ambiguous'],
    ['{"path":"/a","Path":"/b"}', 'arguments_ambiguous'],
    ['{"__proto__":{"path":"/a"}}', 'arguments_ambiguous'],
    ['{"id":9007199254740993}', 'arguments_number_not_exact'],
    ['{"id":1e999}', 'arguments_number_not_exact'],
    ['["path"]', 'arguments_not_an_object'],
    [`{"a":${'['.repeat(40)}${']'.repeat(40)}}`, 'arguments_too_deep'],
    [`{"a":"${'x'.repeat(1_100_000)}"}`, 'arguments_too_large'],
  ])('have no value where a target may read them otherwise, or they are too much', (text, code) => {
    expect(() => call(text)).toThrow(code)
  })

  it('are read as they are otherwise', () => {
    expect(call('{"a:b":"c:\\":d","e":[{"f":1.5}]}').values).toEqual(
      new Map<string, unknown>([
        ['a:b', 'c:":d'],
        ['e', [new Map([['f', 1.5]])]],
      ]),
    )
    expect(call('null').values).toEqual(new Map())
    expect(call('{"a":[1,2]}').isSmall).toBe(true)
    expect(call(`{"a":[${'1,'.repeat(1_500)}1]}`).isSmall).toBe(false)
  })
})

it('roles, permissions and scopes of a caller are always there', () => {
  expect(callerFacts(undefined)).toEqual(
    new Map([
      ['roles', []],
      ['permissions', []],
      ['scopes', []],
    ]),
  )
})
