import { describe, expect, it } from 'vitest'
import { EditError } from '../../../src/hosts/edit-error.js'
import { merge } from '../../../src/hosts/host-file.js'
import { ENTRY, JSON_HOST, mergeText } from './support.js'

const NEW = `"acme": {
      "command": "npx"
    }`

describe('a server in a JSON file', () => {
  it.each([
    {
      what: 'an empty file',
      before: '',
      after: `{\n  "mcpServers": {\n    ${NEW}\n  }\n}\n`,
    },
    {
      what: 'a file of blanks',
      before: ' \n\n',
      after: `{\n  "mcpServers": {\n    ${NEW}\n  }\n}\n`,
    },
    {
      what: 'a file of comments',
      before: '// mine\n',
      after: `// mine\n{\n  "mcpServers": {\n    ${NEW}\n  }\n}\n`,
    },
    { what: 'no members', before: '{}', after: `{\n  "mcpServers": {\n    ${NEW}\n  }\n}` },
    {
      what: 'no members but a comment',
      before: '{ // mine\n}\n',
      after: `{ // mine\n  "mcpServers": {\n    ${NEW}\n  }\n}\n`,
    },
    {
      what: 'other members only',
      before: '{\n  "a": 1 // one\n}\n',
      after: `{\n  "a": 1, // one\n  "mcpServers": {\n    ${NEW}\n  }\n}\n`,
    },
    {
      what: 'no servers',
      before: '{\n  "mcpServers": {},\n  "z": 1\n}\n',
      after: `{\n  "mcpServers": {\n    ${NEW}\n  },\n  "z": 1\n}\n`,
    },
    {
      what: 'a server with a comment behind it, and a trailing comma',
      before: '{\n  "mcpServers": {\n    "a": {}, // first\n    // "b": {}\n  },\n}\n',
      after: `{\n  "mcpServers": {\n    "a": {}, // first\n    // "b": {}\n    ${NEW},\n  },\n}\n`,
    },
    {
      what: 'a server with a comment behind it',
      before: '{\n  "mcpServers": {\n    "a": {} /* first */ // really\n  }\n}',
      after: `{\n  "mcpServers": {\n    "a": {}, /* first */ // really\n    ${NEW}\n  }\n}`,
    },
    {
      what: 'tabs',
      before: '{\n\t"mcpServers": {\n\t\t"a": {}\n\t}\n}\n',
      after:
        '{\n\t"mcpServers": {\n\t\t"a": {},\n\t\t"acme": {\n\t\t\t"command": "npx"\n\t\t}\n\t}\n}\n',
    },
    {
      what: 'four spaces and CRLF',
      before: '{\r\n    "mcpServers": {\r\n        "a": {}\r\n    }\r\n}\r\n',
      after:
        '{\r\n    "mcpServers": {\r\n        "a": {},\r\n        "acme": {\r\n            "command": "npx"\r\n        }\r\n    }\r\n}\r\n',
    },
    {
      what: 'everything on one line',
      before: '{"mcpServers":{"a":{}},"z":1}',
      after: '{"mcpServers":{"a":{},"acme":{"command":"npx"}},"z":1}',
    },
    {
      what: 'everything on one line, without a server',
      before: '{"mcpServers":{},"z":1}',
      after: '{"mcpServers":{"acme":{"command":"npx"}},"z":1}',
    },
    {
      what: 'one line with spaces and a trailing comma',
      before: '{ "mcpServers": { "a": {}, } }',
      after: '{ "mcpServers": { "a": {}, "acme": {"command":"npx"}, } }',
    },
    {
      what: 'a byte order mark',
      before: '\uFEFF{}',
      after: `\uFEFF{\n  "mcpServers": {\n    ${NEW}\n  }\n}`,
    },
    {
      what: 'a server called __proto__',
      before: '{\n  "mcpServers": {\n    "__proto__": {}\n  }\n}\n',
      after: `{\n  "mcpServers": {\n    "__proto__": {},\n    ${NEW}\n  }\n}\n`,
    },
  ])('is added to $what', async ({ before, after }) => {
    expect(await mergeText(before)).toEqual({ text: after, outcome: 'added' })
    expect(await mergeText(after)).toEqual({ text: after, outcome: 'same' })
  })

  it('counts as the same in another order and layout', async () => {
    const text = '{"mcpServers":{"acme":{"args":["x"], /* c */ "command":"npx"}}}'
    const entry = { value: { command: 'npx', args: ['x'] }, inputs: [] }
    expect(await mergeText(text, { entry })).toEqual({ text, outcome: 'same' })
  })

  it('takes the place of another one only with force', async () => {
    const text = '{\n  "mcpServers": {\n    "acme": { "url": "x" }, // mine\n    "b": {}\n  }\n}\n'
    expect(await mergeText(text)).toEqual({ text, outcome: 'taken' })
    expect(await mergeText(text, { force: true })).toEqual({
      text: `{\n  "mcpServers": {\n    ${NEW}, // mine\n    "b": {}\n  }\n}\n`,
      outcome: 'replaced',
    })
    const line = '{"mcpServers":{"acme":1}}'
    expect(await mergeText(line, { force: true })).toEqual({
      text: '{"mcpServers":{"acme":{"command":"npx"}}}',
      outcome: 'replaced',
    })
  })

  it.each(['__proto__', 'constructor', 'a"b\\c', 'Ärger', 'a.b'])(
    'may be called %j',
    async (name) => {
      const { text } = await mergeText('{}', { name })
      expect(Object.keys(JSON.parse(text).mcpServers)).toEqual([name])
      expect((await mergeText(text, { name })).outcome).toBe('same')
    },
  )

  it.each([
    { text: '{\n  "a": 1,,\n}', line: 2, column: 10, what: 'the name of a member is missing' },
    { text: '{\n  "a": 1\n  "b": 2\n}', line: 3, column: 3, what: 'a comma is missing' },
    { text: '{\r\n  "a" 1\r\n}', line: 2, column: 7, what: 'a colon is missing' },
    { text: '{ "a": }', line: 1, column: 8, what: 'a value is missing' },
    { text: '{ "a": 1', line: 1, column: 9, what: 'a "}" is missing' },
    { text: '{ "a": [1 }', line: 1, column: 11, what: 'a comma is missing' },
    { text: '{ "a": "x', line: 1, column: 8, what: 'a string is not closed' },
    { text: "{ 'a': 1 }", line: 1, column: 3, what: 'text that is not JSON' },
    { text: '{} x', line: 1, column: 4, what: 'text that is not JSON' },
    { text: '{ /* x', line: 1, column: 3, what: 'a comment is not closed' },
    { text: '[]', line: 1, column: 1, what: 'an object is expected' },
    { text: 'null', line: 1, column: 1, what: 'an object is expected' },
    { text: '{ "mcpServers": [] }', line: 1, column: 17, what: '"mcpServers" is not an object' },
    {
      text: '{ "mcpServers": {},\n  "mcpServers": {} }',
      line: 2,
      column: 3,
      what: '"mcpServers" appears twice',
    },
    {
      text: '{ "mcpServers": { "acme": 1, "acme": 2 } }',
      line: 1,
      column: 30,
      what: '"acme" appears twice',
    },
  ])('is refused by $text', async ({ text, line, column, what }) => {
    const error = await mergeText(text, { force: true }).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(EditError)
    expect((error as EditError).flaw).toEqual({ what, at: { line, column } })
  })
})

describe('an input in a JSON file', () => {
  const input = { type: 'promptString', id: 'i', description: 'd', password: true } as const
  const entry = { ...ENTRY, inputs: [input] }
  const host = { ...JSON_HOST, container: 'servers' }
  const add = (text: string) => merge(text, { host, name: 'acme', entry, force: false })

  it.each([
    ['{}', [input]],
    ['{ "inputs": [] }', [input]],
    ['{\n  "inputs": [\n    {"id":"x"} // x\n  ]\n}', [{ id: 'x' }, input]],
    ['{ "inputs": [ 1, ] }', [1, input]],
    ['{ "inputs": [{"id":"i","type":"mine"}] }', [{ id: 'i', type: 'mine' }]],
  ])('is added to %s once', async (before, inputs) => {
    const { text } = await add(before)
    const { parse } = await import('jsonc-parser')
    expect(parse(text)).toEqual({ servers: { acme: ENTRY.value }, inputs })
  })

  it('is refused where inputs is no array', async () => {
    await expect(add('{ "inputs": {} }')).rejects.toThrow('"inputs" is not an array')
  })
})
