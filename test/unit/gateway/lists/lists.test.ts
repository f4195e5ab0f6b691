import { describe, expect, it } from 'vitest'
import {
  exposeEntries,
  exposeListMessage,
  type ListView,
} from '../../../../src/gateway/lists/lists.js'
import { createNames } from '../../../../src/gateway/routing/names.js'
import { principal, target } from '../support.js'

function view(change: Partial<ListView> = {}): ListView {
  const of = change.target ?? target('docs')
  return {
    target: of,
    names: createNames([of], 56),
    method: 'tools/list',
    principal: principal(),
    severalTargets: true,
    ...change,
  }
}

/** A result as a client gets it. */
function exposeList(of: ListView, result: object): object {
  const message = JSON.stringify({ jsonrpc: '2.0', id: 1, result })
  return JSON.parse(exposeListMessage(of, message) ?? message).result
}

describe('a list', () => {
  it('[mcp-rename-lists] gets exposed names, keeps its order and all that is not known', () => {
    const tools = [
      {
        name: 'z',
        inputSchema: { properties: { r: { 'x-mcp-header': 'Region' } } },
        _meta: { a: 1 },
      },
      { name: 'a', execution: { taskSupport: 'optional' }, unknown: [null] },
    ]
    const result = { tools, nextCursor: 'next', ttlMs: 5, other: { name: 'z' } }
    expect(exposeList(view(), result)).toEqual({
      ...result,
      tools: [
        { ...tools[0], name: 'docs_z' },
        { ...tools[1], name: 'docs_a' },
      ],
    })
    expect(tools[0]?.name).toBe('z')
  })

  it.each([
    ['prompts/list', { prompts: [{ name: 'p' }] }, { prompts: [{ name: 'docs_p' }] }],
    [
      'resources/list',
      { resources: [{ uri: 'data://a', name: 'n' }] },
      { resources: [{ uri: 'data://docs/a', name: 'n' }] },
    ],
    [
      'resources/templates/list',
      { resourceTemplates: [{ uriTemplate: 'data://{a}', name: 'n' }] },
      { resourceTemplates: [{ uriTemplate: 'data://docs/{a}', name: 'n' }] },
    ],
    ['tools/call', { tools: [{ name: 'a' }] }, { tools: [{ name: 'a' }] }],
    ['constructor', { undefined: [{ name: 'a' }] }, { undefined: [{ name: 'a' }] }],
    ['tools/list', { tools: 'none' }, { tools: 'none' }],
    ['tools/list', { tools: { 0: { name: 'a' } } }, { tools: [] }],
    ['tools/list', {}, {}],
    [
      'tools/list',
      { tools: [null, 'a', {}, { name: 7 }, { name: 'a' }] },
      { tools: [{ name: 'docs_a' }] },
    ],
  ])('of %s becomes what clients see: %j', (method, result, exposed) => {
    expect(exposeList(view({ method }), result)).toEqual(exposed)
  })

  it('keeps URIs of the only target', () => {
    const result = { resources: [{ uri: 'data://a' }] }
    expect(exposeList(view({ method: 'resources/list', severalTargets: false }), result)).toEqual(
      result,
    )
  })

  it('shows the tools that the caller may call or ask scopes for', () => {
    const guarded = target('docs', {
      tools: { deny: ['no'], scopes: { 'w*': ['write'] }, roles: { 'admin*': ['admin'] } },
    })
    const result = { tools: ['no', 'read', 'write', 'admin'].map((name) => ({ name })) }
    const names = (list: object) => (list as typeof result).tools.map(({ name }) => name)
    const seen: unknown[] = []
    const onEntry = ({ name }: { [member: string]: unknown }) => seen.push(name)
    expect(names(exposeList(view({ target: guarded, onEntry }), result))).toEqual([
      'docs_read',
      'docs_write',
    ])
    expect(seen).toEqual(['read', 'write'])
    const admin = principal({ roles: ['admin'] })
    expect(names(exposeList(view({ target: guarded, principal: admin }), result))).toEqual([
      'docs_read',
      'docs_write',
      'docs_admin',
    ])
  })

  it('leaves out what needs scopes when the configuration says so', () => {
    const hiding = target('docs', { tools: { scopes: { w: ['x'] }, whenScopeMissing: 'hide' } })
    const result = { tools: [{ name: 'w' }, { name: 'r' }] }
    expect(exposeList(view({ target: hiding }), result)).toEqual({ tools: [{ name: 'docs_r' }] })
  })

  it('[mcp-private-cache] is for this caller alone when the policy looks at the caller', () => {
    const result = { tools: [], cacheScope: 'public' }
    const guarded = target('docs', { tools: { scopes: { x: ['y'] } } })
    expect(exposeList(view({ target: guarded }), result)).toMatchObject({ cacheScope: 'private' })
    expect(exposeList(view(), result)).toMatchObject({ cacheScope: 'public' })
    expect(exposeList(view({ target: guarded }), { tools: [] })).not.toHaveProperty('cacheScope')
  })
})

describe('exposeListMessage', () => {
  it('keeps the message around the list', () => {
    const text = '{"jsonrpc":"2.0","extra":1,"result":{"tools":[{"name":"a"}]},"id":"é"}'
    expect(exposeListMessage(view(), text)).toBe(text.replace('"a"', '"docs_a"'))
  })

  it('changes nothing but names, whatever else there is', () => {
    const text = `\n{ "result" : {"tools": [ {"name":"\\u0061", "max" : 12345678901234567890.10 } ,
      {"title":"[{\\"name\\":\\"a\\"}]","name":"b","name":"c"}\t], "nextCursor" : null}, "id":1e2}`
    expect(exposeListMessage(view(), text)).toBe(
      text.replace('"\\u0061"', '"docs_a"').replace('"name":"c"', '"name":"docs_c"'),
    )
    expect(exposeEntries(view(), text)[0]).toBe(
      '{"name":"docs_a", "max" : 12345678901234567890.10 }',
    )
  })

  it('closes the gap where an entry is left out', () => {
    const denying = target('docs', { tools: { deny: ['b'] } })
    const text = '{"id":9007199254740993,"result":{"tools":[{"name":"a"}, {"name":"b"} ]}}'
    expect(exposeListMessage(view({ target: denying }), text)).toBe(
      '{"id":9007199254740993,"result":{"tools":[{"name":"docs_a"}]}}',
    )
  })

  it.each(['', '[]', '{', '{"id":1,"error":{"code":1}}', '{"id":1,"result":[]}'])(
    'leaves %j alone',
    (text) => {
      expect(exposeListMessage(view(), text)).toBeUndefined()
    },
  )
})
