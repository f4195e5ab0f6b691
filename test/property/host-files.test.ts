import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { EditError, type MergeRequest } from '../../src/hosts/edit-error.js'
import { HOST_IDS } from '../../src/hosts/host.js'
import { merge } from '../../src/hosts/host-file.js'
import { findHost } from '../../src/hosts/hosts.js'
import { tomlTable } from '../../src/hosts/toml-document.js'
import { parseJsonc } from '../../src/util/jsonc.js'
import { runCli } from '../helpers/cli.js'
import { createFolder } from '../helpers/folder.js'

const MARK = '\u0001'

const hostileNames = [
  '__proto__',
  'constructor',
  'acme',
  'mcpServers',
  'mcp_servers',
  'servers',
  'inputs',
]

const name = fc.oneof(
  fc.constantFrom('acme', 'a b', 'ü', 'a.b', '"', '\\', '\u007f', ']', '#', ...hostileNames),
  fc.string({ minLength: 1, maxLength: 10 }),
)

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom('"""', "'''", '# x'),
)

const server = fc.record({
  name,
  values: fc.dictionary(name, text, { maxKeys: 3, noNullPrototype: true }),
  references: fc.array(fc.constantFrom('API_KEY', 'OTHER'), { maxLength: 2 }),
  connection: fc.record({
    kind: fc.constant('stdio' as const),
    command: text,
    args: fc.array(text, { maxLength: 3 }),
  }),
})

const request = fc
  .tuple(fc.constantFrom(...HOST_IDS), server, fc.boolean())
  .map(([id, given, force]): MergeRequest => {
    const host = findHost(id)
    return { host, name: given.name, entry: host.entry(given), force }
  })

const json = fc
  .letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.oneof(text, fc.integer(), fc.double(), fc.constant(null), fc.boolean()),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    ),
  }))
  .value.map((value) => JSON.stringify(value, undefined, 2))

const toml = fc
  .array(
    fc.tuple(
      fc.array(name, { minLength: 1, maxLength: 3 }),
      fc.dictionary(name, fc.oneof(text, fc.array(text, { maxLength: 2 })), { maxKeys: 3 }),
    ),
    { maxLength: 4 },
  )
  .map((tables) => tables.map(([path, table]) => tomlTable(path, table)).join('\n'))

const pieces = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...['{', '}', '[', ']', ',', ':', '=', '.', '\n', '\r\n', ' ', '"', "'", '"""', "'''", '#'],
        ...[
          '//',
          '/*',
          '*/',
          '"mcpServers"',
          '"acme"',
          'mcp_servers',
          'acme',
          '[[',
          ']]',
          '1',
          '\\',
        ],
        ...['"__proto__"', '1979-05-27', 'inf', '\u0000', '\u2028', '\ufeff'],
      ),
      fc.string({ maxLength: 3 }),
    ),
    { maxLength: 24 },
  )
  .map((parts) => parts.join(''))

const content = fc.oneof(json, toml, pieces)

/** All that a text holds, as plain values; `undefined` where nobody can read it. */
function valuesOf(written: string, { host }: MergeRequest): Map<string, unknown> | undefined {
  const plain = written.replace(/^\ufeff/, '')
  const flat = new Map<string, unknown>()
  const rest: [string, unknown][] = []
  if (host.format === 'toml') {
    try {
      rest.push(['', parse(plain, { integersAsBigInt: 'asNeeded' })])
    } catch {
      return undefined
    }
  } else {
    const root = parseJsonc(plain)
    if (root !== undefined && 'what' in root) return undefined
    rest.push(['', root === undefined ? {} : JSON.parse(JSON.stringify(contentOf(root)))])
  }
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const [path, value] = next
    const isPart = typeof value === 'object' && value !== null && !(value instanceof Date)
    if (!isPart) flat.set(path, typeof value === 'bigint' ? `${value}n` : String(value))
    else {
      flat.set(path, Array.isArray(value) ? 'array' : 'object')
      for (const [key, inner] of Object.entries(value)) rest.push([`${path}${MARK}${key}`, inner])
    }
  }
  return flat
}

function contentOf(node: Exclude<ReturnType<typeof parseJsonc>, undefined>): unknown {
  if ('what' in node) return undefined
  const { type, children = [] } = node
  if (type === 'array') return children.map(contentOf)
  if (type !== 'object') return node.value
  // `defineProperty`, as a member may be called `__proto__`
  const object = {}
  for (const { children: [key, inner] = [] } of children) {
    const value = inner && contentOf(inner)
    const place = { value, enumerable: true, configurable: true, writable: true }
    Object.defineProperty(object, String(key?.value), place)
  }
  return object
}

const isOwn = (path: string, { host, name: own, entry }: MergeRequest) => {
  const place = `${MARK}${host.container}${MARK}${own}`
  if (path === '' || path === `${MARK}${host.container}`) return true
  if (entry.inputs.length > 0 && `${path}${MARK}`.startsWith(`${MARK}inputs${MARK}`)) return true
  return path === place || path.startsWith(`${place}${MARK}`)
}

describe('a file of an assistant, whatever it holds', () => {
  it('gets our entry and keeps every other value, or is refused', async () => {
    let merges = 0
    await fc.assert(
      fc.asyncProperty(content, request, fc.boolean(), async (before, wanted, marked) => {
        const given = marked ? `\ufeff${before}` : before
        let merged: Awaited<ReturnType<typeof merge>>
        try {
          merged = await merge(given, wanted)
        } catch (error) {
          expect(error).toBeInstanceOf(EditError)
          return
        }
        if (merged.outcome === 'same' || merged.outcome === 'taken') {
          expect(merged.text).toBe(given)
          return
        }
        merges += 1
        const [old, now] = [valuesOf(given, wanted), valuesOf(merged.text, wanted)]
        expect(old).toBeDefined()
        for (const [path, value] of old ?? []) {
          if (!isOwn(path, wanted)) expect([path, now?.get(path)]).toEqual([path, value])
        }
        for (const [path] of now ?? []) expect(old?.has(path) || isOwn(path, wanted)).toBe(true)
        expect(now?.get(`${MARK}${wanted.host.container}${MARK}${wanted.name}`)).toBe('object')
        const again = await merge(merged.text, wanted)
        expect(again).toEqual({ text: merged.text, outcome: 'same' })
      }),
      { numRuns: 2_000 },
    )
    expect(merges).toBeGreaterThan(100)
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  it.each(HOST_IDS)('is refused for %s where it nests without an end', async (id) => {
    const host = findHost(id)
    const entry = host.entry({
      name: 'acme',
      connection: { kind: 'stdio', command: 'npx', args: [] },
      values: {},
      references: [],
    })
    const many = 60_000
    for (const hostile of [
      '['.repeat(many),
      '{"a":'.repeat(many),
      `a = ${'['.repeat(many)}`,
      `a = ${'{a='.repeat(many)}`,
      `a${'.a'.repeat(many)} = 1\n`,
      `[a${'.a'.repeat(many)}]\n`,
      `[[a${'.a'.repeat(many)}]]\n`,
      `a${'.a'.repeat(400)} = 1\n`,
      `{"a":${'['.repeat(400)}${']'.repeat(400)}}`,
    ]) {
      await expect(merge(hostile, { host, name: 'acme', entry, force: true })).rejects.toThrow(
        EditError,
      )
    }
  })

  it('stays as it is, byte for byte, where it is broken, and the command says where', async () => {
    const hostile: readonly (string | Buffer)[] = [
      '{"mcpServers": {}',
      '{"mcpServers": []}',
      '{"mcpServers": {}, "mcpServers": {}}',
      `{"mcpServers": ${'['.repeat(50_000)}`,
      Buffer.from([0x7b, 0xff, 0xfe, 0x7d]),
      '\u0000',
    ]
    for (const given of hostile) {
      const home = createFolder({ '.cursor/mcp.json': '' })
      writeFileSync(join(home, '.cursor/mcp.json'), given)
      const args = ['add', 'cursor', 'https://mcp.example.com/mcp', '--write']
      const { status, stderr } = await runCli(args, { env: { HOME: home }, timeoutMs: 30_000 })
      expect(status).not.toBe(0)
      expect(stderr).toContain('mcp.json')
      expect(stderr).not.toMatch(/mistake in the program|RangeError/)
      const kept = readFileSync(join(home, '.cursor/mcp.json'))
      expect(kept.equals(Buffer.from(given))).toBe(true)
      expect(readdirSync(join(home, '.cursor'))).toEqual(['mcp.json'])
    }
  }, 60_000)
})
