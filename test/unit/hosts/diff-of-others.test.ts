import fc from 'fast-check'
import { parse, stringify } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { redactText, renderDiff } from '../../../src/hosts/diff.js'
import { merge } from '../../../src/hosts/host-file.js'
import { ENTRY, JSON_HOST, TOML_HOST } from './support.js'

const ref = (text: string) => `$\{${text}}`

describe('of the servers beside ours, a JSON file shows names and no values', () => {
  it.each([
    ['{"env": {"GITHUB_PAT": "ghp_1"}}', '{"env": {"GITHUB_PAT": "[redacted]"}}'],
    ['{"env": {"DATABASE_URL": "pg://u:p@h"}}', '{"env": {"DATABASE_URL": "[redacted]"}}'],
    ['{"env": {"A": "x\\"y"}, "n": 12}', '{"env": {"A": "[redacted]"}, "n": [redacted]}'],
    ['{"args": ["--token=a", "b"]}', '{"args": ["[redacted]", "[redacted]"]}'],
    ['{"headers": {"X-Odd": "k"}}', '{"headers": {"X-Odd": "[redacted]"}}'],
    ['{"url": "https://a/mcp?api_key=1"}', '{"url": "[redacted]"}'],
    [`{"env": {"A": "${ref('env:A')}"}}`, `{"env": {"A": "${ref('env:A')}"}}`],
    [`{"env": {"A": "${ref('input:a-b')}"}}`, `{"env": {"A": "${ref('input:a-b')}"}}`],
    [`{"env": {"A": "${ref('A:-secret')}"}}`, '{"env": {"A": "[redacted]"}}'],
    ['{"env": {"A": "$ecret1"}}', '{"env": {"A": "[redacted]"}}'],
    ['{"command": "npx", "on": true, "z": null}', '{"command": "npx", "on": true, "z": null}'],
    ['{"command": "sh -c \'T=1 x\'"}', '{"command": "[redacted]"}'],
    ['{// "PAT": "ghp_1"\n}', '{// [redacted]\n}'],
    ['{/* "PAT":\n "ghp_1" */}', '{[redacted]\n[redacted]}'],
    ['{} // keep, please', '{} // keep, please'],
  ])('%s', (text, shown) => {
    expect(redactText(text, 'json')).toBe(shown)
  })

  it('and ours whole, with what its user is asked for', () => {
    const inputs = [
      { type: 'promptString', id: 'acme-k', description: 'k', password: true } as const,
    ]
    const text = JSON.stringify(
      {
        inputs: [{ id: 'other', description: 'sk-1' }, ...inputs],
        servers: { acme: { command: 'npx', args: ['a'] }, b: { args: ['sk-2'] } },
        acme: { args: ['sk-3'] },
      },
      undefined,
      2,
    )
    const host = { format: 'json', container: 'servers' } as const
    const shown = redactText(text, 'json', { host, name: 'acme', entry: { value: {}, inputs } })
    expect(shown).not.toMatch(/sk-\d/)
    expect(JSON.parse(shown)).toMatchObject({
      servers: { acme: { command: 'npx', args: ['a'] } },
      inputs: [{ id: '[redacted]' }, inputs[0]],
    })
    expect(shown.split('\n')).toHaveLength(text.split('\n').length)
  })
})

describe('of the servers beside ours, a TOML file shows names and no values', () => {
  it.each([
    ['[a.env]\nPAT = "ghp_1"', '[a.env]\nPAT = "[redacted]"'],
    ["PAT = 'ghp_1' # old: ghp_0", "PAT = '[redacted]' # [redacted]"],
    ['env = { PAT = "ghp_1", B.c = \'x\' }', 'env = { PAT = "[redacted]", B.c = \'[redacted]\' }'],
    ['"a b".c = 1.5', '"a b".c = [redacted]'],
    [
      'args = [\n  "--token", # of mine\n  "a#\\"b",\n]',
      'args = [\n  "[redacted]", # of mine\n  "[redacted]",\n]',
    ],
    [
      'a = """\nx = "ghp_1"\n[b]"""\nc = 1',
      'a = [redacted]\n[redacted]\n[redacted]\nc = [redacted]',
    ],
    ["a = '''x''''\nb = 2024-01-01 10:00:00", "a = '[redacted]'\nb = [redacted] [redacted]"],
    ['command = "npx"\non = true', 'command = "npx"\non = true'],
    ['[["a]b".c]]\nd=1', '[["a]b".c]]\nd=[redacted]'],
  ])('%s', (text, shown) => {
    expect(redactText(text, 'toml')).toBe(shown)
  })

  it('and ours whole', () => {
    const text =
      '[mcp_servers.b]\nargs = ["sk-1"]\n\n[mcp_servers.acme]\nargs = ["a"]\n\n[c]\nd = "sk-2"\n'
    const shown = redactText(text, 'toml', { host: TOML_HOST, name: 'acme', entry: ENTRY })
    expect(shown).toBe(text.replace(/sk-\d/g, '[redacted]'))
  })

  it('whatever they hold', () => {
    const value = fc.oneof(
      fc.string().map((text) => `s3cret${text}`),
      fc.constant('s3cret\n"""'),
    )
    const table = fc.dictionary(fc.string({ minLength: 1 }), value)
    fc.assert(
      fc.property(fc.dictionary(fc.string({ minLength: 1 }), table), (document) => {
        const text = stringify(document)
        const shown = redactText(text, 'toml')
        expect(shown.split('\n')).toHaveLength(text.split('\n').length)
        expect(Object.keys(parse(text))).toEqual(Object.keys(document))
        expect(shown).not.toContain('s3cret')
      }),
    )
  })
})

describe('the diff of a merge', () => {
  it.each([
    [
      JSON_HOST,
      '{\n  "mcpServers": {\n    "b": { "env": { "PAT": "sk-1" } },\n    "acme": { "env": { "PAT": "sk-2" } }\n  }\n}\n',
    ],
    [JSON_HOST, '{"mcpServers":{"b":{"env":{"PAT":"sk-1"}}}}'],
    [TOML_HOST, '[mcp_servers.b.env]\nPAT = "sk-1"\n[mcp_servers.acme]\nargs = ["sk-2"]\n'],
  ])('of %j shows our entry and no secret', async (host, text) => {
    const value = { command: 'npx', args: ['stdio', 'https://mcp.example.com/mcp'] }
    const request = { host, name: 'acme', entry: { value, inputs: [] }, force: true }
    const merged = await merge(text, request)
    const diff = renderDiff('/x', text, merged.text, {
      before: (old) => redactText(old, host.format),
      after: (added) => redactText(added, host.format, request),
    })
    expect(diff).not.toMatch(/sk-\d/)
    expect(diff).toContain('https://mcp.example.com/mcp')
  })
})
