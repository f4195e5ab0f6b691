import { describe, expect, it } from 'vitest'
import type { EditError, MergeRequest } from '../../../src/hosts/edit-error.js'
import { sectionsOf, tomlTable } from '../../../src/hosts/toml-document.js'
import { mergeText, TOML_HOST } from './support.js'

const add = (text: string, request: Partial<MergeRequest> = {}) =>
  mergeText(text, { host: TOML_HOST, ...request })

const NEW = '[mcp_servers.acme]\ncommand = "npx"\n'

describe('a server in a TOML file', () => {
  it.each([
    { what: 'an empty file', before: '', after: NEW },
    { what: 'a comment', before: '# mine\n', after: `# mine\n\n${NEW}` },
    {
      what: 'other tables',
      before: 'model = "x" # y\n\n[mcp_servers.a]\ncommand = "b"\n',
      after: `model = "x" # y\n\n[mcp_servers.a]\ncommand = "b"\n\n${NEW}`,
    },
    {
      what: 'no line break at the end',
      before: 'a = 1',
      after: `a = 1\n\n${NEW.trimEnd()}`,
    },
    {
      what: 'CRLF',
      before: 'a = 1\r\n',
      after: `a = 1\r\n\r\n${NEW.replaceAll('\n', '\r\n')}`,
    },
    {
      what: 'text that looks like the server',
      before: 'a = """\n[mcp_servers.acme]\n"""\n# [mcp_servers.acme]\n',
      after: `a = """\n[mcp_servers.acme]\n"""\n# [mcp_servers.acme]\n\n${NEW}`,
    },
    {
      what: 'dates, large numbers and infinity',
      before: 'd = 1979-05-27\ni = 9223372036854775807\nf = inf\nn = nan\n',
      after: `d = 1979-05-27\ni = 9223372036854775807\nf = inf\nn = nan\n\n${NEW}`,
    },
  ])('is added to $what', async ({ before, after }) => {
    expect(await add(before)).toEqual({ text: after, outcome: 'added' })
    expect(await add(after)).toEqual({ text: after, outcome: 'same' })
  })

  it.each([
    {
      what: 'with its own tables elsewhere',
      before:
        '# top\n[mcp_servers.acme]\nurl = "x"\nlist = [\n  [1],\n]\n# about z\n[z]\nk = 1\n\n[mcp_servers.acme.env]\nA = "b"\n\n[y]\n',
      after: `# top\n${NEW}# about z\n[z]\nk = 1\n\n\n[y]\n`,
    },
    {
      what: 'with a quoted name',
      before: '[ mcp_servers . "acme" ] # x\nurl = "x"\n',
      after: NEW,
    },
    {
      what: 'at the end, without a line break',
      before: '[mcp_servers.acme]\nurl = "x"',
      after: NEW.trimEnd(),
    },
    {
      what: 'of which there is only an inner table',
      before: '[mcp_servers.acme.env]\nA = "b"\n[z]\n',
      after: `${NEW}[z]\n`,
    },
  ])('takes the place of one $what, with force', async ({ before, after }) => {
    expect(await add(before)).toEqual({ text: before, outcome: 'taken' })
    expect(await add(before, { force: true })).toEqual({ text: after, outcome: 'replaced' })
  })

  it.each([
    'mcp_servers = { acme = { url = "x" } }\n',
    'mcp_servers.acme.url = "x"\n',
    '[mcp_servers]\nacme = { url = "x" }\n',
    'mcp_servers = { b = { url = "x" } }\n',
  ])('is not put into %j, and nothing is broken', async (text) => {
    const error = await add(text, { force: true }).catch((thrown: unknown) => thrown)
    expect((error as EditError).flaw).toEqual({
      what: '"mcp_servers" is written in a way that this program does not edit',
      at: undefined,
    })
  })

  it.each([
    { text: 'a = \n', at: { line: 1, column: 5 } },
    { text: 'a = 1\n[x]\n[x]\n', at: { line: 3, column: 2 } },
    { text: 'mcp_servers = 1\n', at: undefined },
  ])('is refused by $text', async ({ text, at }) => {
    const error = await add(text).catch((thrown: unknown) => thrown)
    expect((error as EditError).flaw.at).toEqual(at)
  })
})

describe('tomlTable', () => {
  it('escapes what TOML escapes', async () => {
    const value = { 'a b': 'x"\\\n\u007f\u0000é', env: { 'C-D': '1', 'e.f': '2' }, list: [] }
    const text = tomlTable(['mcp_servers', 'a.b "c"'], value)
    const { parse } = await import('smol-toml')
    expect(JSON.parse(JSON.stringify(parse(text)))).toEqual({ mcp_servers: { 'a.b "c"': value } })
  })
})

describe('sectionsOf', () => {
  it('finds the tables and leaves comments to the next one', () => {
    const text = '[a]\nb = 1\n\n# c\n[["d e".f]] # g\nh = [\n  [1],\n]\n'
    const found = sectionsOf(text).map(({ key, start, end }) => [key, text.slice(start, end)])
    expect(found).toEqual([
      [['a'], '[a]\nb = 1\n'],
      [['d e', 'f'], '[["d e".f]] # g\nh = [\n  [1],\n]\n'],
    ])
  })
})
