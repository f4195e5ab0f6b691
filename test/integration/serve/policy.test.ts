import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ConfigInput } from '../../../src/config/types.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

type Policy = NonNullable<NonNullable<ConfigInput['targets']>[string]['tools']>

const NAMES = ['read', 'read_all', 'delete_all', 'write', 'admin', 'lösche alles']

let identity: Identity
let target: RecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock })
  target = await startRecordingTarget({ tools: NAMES.map((name) => tool(name)) })
  target.on('tools/call', () => ({ content: [] }))
})
afterEach(() => target.clear())
afterAll(async () => {
  await target.close()
  await identity.close()
})

/** Runs with a server whose target has this policy. */
async function withPolicy<T>(tools: Policy, use: (stack: Stack) => Promise<T>): Promise<T> {
  const stack = await startStack({ identity, targets: { t: { url: target.url, tools } } })
  try {
    return await use(stack)
  } finally {
    await stack.close()
  }
}

async function listed(stack: Stack, claims?: object): Promise<string[]> {
  const headers = await headersOf(stack, claims)
  const response = await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, headers)
  const { result } = await readMessage(response)
  return result.tools.map(({ name }: { name: string }) => name)
}

const headersOf = async (stack: Stack, claims: object = {}) => ({
  authorization: `Bearer ${await stack.token({ ...claims })}`,
})

async function call(stack: Stack, name: string, claims?: object) {
  const message = { jsonrpc: '2.0', id: 'c', method: 'tools/call', params: { name } }
  const response = await stack.post(message, await headersOf(stack, claims))
  return { response, ...(await readMessage(response)) }
}

/** The name of each tool as clients see it when nothing is hidden. */
const exposedNames = (): Promise<string[]> => withPolicy({}, (stack) => listed(stack))

describe('a hidden tool', () => {
  it('is refused under every name as if it did not exist', async () => {
    const alias = (await exposedNames()).at(-1) as string
    expect(alias).toMatch(/^t_l_sche_alles_[0-9a-f]{6}$/)
    await withPolicy({ deny: ['delete_*', 'lösche *'] }, async (stack) => {
      expect(await listed(stack)).toEqual(['t_read', 't_read_all', 't_write', 't_admin'])
      for (const name of [
        't_delete_all',
        'delete_all',
        't_DELETE_ALL',
        't_Delete_All',
        'T_delete_all',
        't_lösche alles',
        't_LÖSCHE alles',
        alias,
        alias.toUpperCase(),
      ]) {
        const { response, error } = await call(stack, name)
        expect([name, response.status, error]).toMatchObject([
          name,
          200,
          { code: -32602, message: `Unknown tool: ${name}` },
        ])
      }
      expect(target.of('tools/call')).toHaveLength(0)
      expect((await call(stack, 't_read')).result).toBeDefined()
    })
  })

  it.each([1, 2])('is not reached by a call without an id, of %i targets', async (count) => {
    const tools = { deny: ['delete_*'] }
    const targets = { t: { url: target.url, tools }, u: { url: target.url, tools } }
    const stack = await startStack({
      identity,
      targets: count === 1 ? { t: targets.t } : targets,
    })
    for (const name of ['delete_all', 't_delete_all', 't_read']) {
      const message = { jsonrpc: '2.0', method: 'tools/call', params: { name } }
      const response = await stack.post(message, await headersOf(stack))
      expect([name, response.status, await response.json()]).toMatchObject([
        name,
        400,
        { id: null, error: { code: -32600, message: 'tools/call needs an "id"' } },
      ])
    }
    // whatever had been sent on would be there before this one is answered
    await stack.post({ jsonrpc: '2.0', id: 1, method: 'ping' }, await headersOf(stack))
    expect(target.of('tools/call')).toEqual([])
    await stack.close()
  })

  it('stays hidden from a server that has not listed yet, and is callable where it is not', async () => {
    const alias = (await exposedNames()).at(-1) as string
    await withPolicy({ allow: ['read*'] }, async (stack) => {
      expect((await call(stack, alias)).error).toMatchObject({ code: -32602 })
      expect(target.of('tools/call')).toHaveLength(0)
    })
    await withPolicy({ allow: ['*alles'] }, async (stack) => {
      expect((await call(stack, alias)).result).toBeDefined()
      expect(target.of('tools/call')[0]?.message).toMatchObject({
        params: { name: 'lösche alles' },
      })
    })
  })

  it.each<[string, Policy, object, string[]]>([
    ['for whom has not the role', { roles: { 'adm*': ['boss'] } }, {}, ['t_admin']],
    ['for whom has another role', { roles: { admin: ['boss'] } }, { roles: ['x'] }, ['t_admin']],
    ['in another tenant', { tenants: { write: ['T1'] } }, { dct: 'T2' }, ['t_write']],
    ['without a tenant', { tenants: { write: ['T1', 'T2'] } }, {}, ['t_write']],
    ['when nothing is allowed', { allow: [] }, {}, ['t_read', 't_write']],
    ['when it is denied and allowed', { allow: ['read'], deny: ['read'] }, {}, ['t_read']],
  ])('is neither listed nor callable %s', async (_title, policy, claims, hidden) => {
    await withPolicy(policy, async (stack) => {
      const names = await listed(stack, claims)
      for (const name of hidden) {
        expect(names).not.toContain(name)
        expect((await call(stack, name, claims)).error).toMatchObject({ code: -32602 })
      }
      expect(target.of('tools/call')).toHaveLength(0)
    })
  })

  it.each<[string, Policy, object]>([
    ['one of the roles', { roles: { 'adm*': ['boss', 'root'] } }, { roles: ['root'] }],
    ['one of the tenants', { tenants: { admin: ['T1', 'T2'] } }, { dct: 'T2' }],
  ])('is there for whom has %s', async (_title, policy, claims) => {
    await withPolicy(policy, async (stack) => {
      expect(await listed(stack, claims)).toContain('t_admin')
      expect((await call(stack, 't_admin', claims)).result).toBeDefined()
    })
  })
})

describe('a tool whose scopes are missing', () => {
  const scopes = { '*': ['mcp:use'], 'write*': ['docs:read', 'docs:write'] }

  it('is listed, and its call asks for all its scopes at once', async () => {
    await withPolicy({ scopes }, async (stack) => {
      const claims = { scope: 'mcp:use docs:read' }
      expect(await listed(stack, claims)).toContain('t_write')
      const { response, id } = await call(stack, 't_write', claims)
      expect(response.status).toBe(403)
      expect(id).toBe('c')
      const challenge = response.headers.get('www-authenticate') ?? ''
      expect(challenge).toMatch(/^Bearer error="insufficient_scope"/)
      expect(challenge).toContain('scope="mcp:use docs:read docs:write"')
      expect(challenge).toContain('/.well-known/oauth-protected-resource/mcp"')
      expect(target.of('tools/call')).toHaveLength(0)
      const all = { scope: 'mcp:use docs:read docs:write' }
      expect((await call(stack, 't_write', all)).result).toBeDefined()
    })
  })

  it('needs them in every spelling of its name', async () => {
    await withPolicy({ scopes }, async (stack) => {
      const { response } = await call(stack, 't_WRITE', { scope: 'mcp:use' })
      expect(response.status).toBe(403)
      expect(target.of('tools/call')).toHaveLength(0)
    })
  })

  it('is not listed where that is wished, and still asks when called', async () => {
    await withPolicy({ scopes, whenScopeMissing: 'hide' }, async (stack) => {
      expect(await listed(stack, { scope: 'mcp:use' })).not.toContain('t_write')
      expect((await call(stack, 't_write', { scope: 'mcp:use' })).response.status).toBe(403)
      const all = { scope: 'mcp:use docs:read docs:write' }
      expect(await listed(stack, all)).toContain('t_write')
    })
  })

  it('is judged anew for each caller, though lists are kept', async () => {
    await withPolicy({ scopes, whenScopeMissing: 'hide' }, async (stack) => {
      const all = { scope: 'mcp:use docs:read docs:write' }
      for (let round = 0; round < 3; round++) {
        expect(await listed(stack, all)).toContain('t_write')
        expect(await listed(stack, { scope: 'mcp:use' })).not.toContain('t_write')
      }
    })
  })
})

it('hides from the list exactly what it refuses to call, whatever the names and globs', async () => {
  const word = fc.stringMatching(/^[a-cA-C_.é -]{1,6}$/)
  const glob = fc
    .array(fc.oneof(word, fc.constant('*')), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join(''))
  const names = fc.uniqueArray(word, { minLength: 1, maxLength: 8 })
  const allow = fc.oneof(fc.constant(['*']), fc.array(glob, { maxLength: 3 }))
  const outcomes = new Set<string>()
  try {
    await fc.assert(
      fc.asyncProperty(names, allow, fc.array(glob, { maxLength: 3 }), async (all, yes, no) => {
        target.contents.tools = all.map((name) => tool(name))
        const exposed = await exposedNames()
        expect(new Set(exposed).size).toBe(all.length)
        await withPolicy({ allow: yes, deny: no }, async (stack) => {
          const visible = await listed(stack)
          for (const [index, name] of exposed.entries()) {
            target.clear()
            const { result, error } = await call(stack, name)
            const calls = target.of('tools/call').map(({ message }) => message?.['params'])
            outcomes.add(visible.includes(name) ? 'visible' : 'hidden')
            if (visible.includes(name)) {
              expect(result).toBeDefined()
              expect(calls).toEqual([{ name: all[index] }])
            } else {
              expect(error).toMatchObject({ code: -32602, message: `Unknown tool: ${name}` })
              expect(calls).toEqual([])
            }
          }
        })
      }),
      { numRuns: 25 },
    )
  } finally {
    target.contents.tools = NAMES.map((name) => tool(name))
  }
  expect([...outcomes].sort()).toEqual(['hidden', 'visible'])
})
