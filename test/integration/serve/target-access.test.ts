import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { modernRequest, postStateless } from '../../helpers/modern-client.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const BOSS = { roles: ['boss'] }

let identity: Identity
let shared: RecordingTarget
let vault: RecordingTarget
let stack: Stack
beforeAll(async () => {
  identity = await startIdentity({ clock })
  const options = { sessions: 'required', listChanged: true } as const
  shared = await startRecordingTarget({ ...options, instructions: 'Ask shared.' })
  vault = await startRecordingTarget({
    ...options,
    instructions: 'Ask the vault.',
    tools: [tool('open'), tool('burn')],
    prompts: [{ name: 'beg' }],
    resources: [{ uri: 'gold://bars', name: 'bars' }],
  })
  for (const target of [shared, vault]) target.on('tools/call', () => ({ content: [] }))
  stack = await startStack({
    identity,
    config: { session: { secret: 'a-session-secret-of-more-than-32-bytes' } },
    targets: {
      shared: shared.url,
      vault: { url: vault.url, access: BOSS, tools: { deny: ['burn'] } },
    },
  })
})
afterAll(async () => {
  await stack.close()
  await Promise.all([shared.close(), vault.close()])
  await identity.close()
})
beforeEach(() => {
  shared.clear()
  vault.clear()
})

async function connect(at: Stack, claims: Record<string, unknown> = {}) {
  const client = new Client({ name: 'test', version: '1' })
  const headers = { authorization: `Bearer ${await at.token(claims)}` }
  const transport = new StreamableHTTPClientTransport(new URL(at.url), { requestInit: { headers } })
  await client.connect(transport as Parameters<typeof client.connect>[0])
  return { client, transport }
}

const lastRecord = (at: Stack) =>
  at.logs().findLast(({ event, method }) => event === 'request' && method === 'tools/call')

describe('a target with "access"', () => {
  it('is whole for those whom it admits, and the others see none of it', async () => {
    const { client: boss } = await connect(stack, BOSS)
    const { client: other } = await connect(stack)
    expect(boss.getInstructions()).toContain('Ask the vault.')
    expect(other.getInstructions()).toBe('Ask shared.')
    const namesOf = async (client: Client) => (await client.listTools()).tools.map((it) => it.name)
    expect(await namesOf(boss)).toEqual(['shared_echo', 'vault_open'])
    expect(await namesOf(other)).toEqual(['shared_echo'])
    expect((await boss.listResources()).resources).toHaveLength(1)
    expect(other.getServerCapabilities()?.resources).toBeUndefined()
    expect((await boss.callTool({ name: 'vault_open' })).content).toEqual([])
    await Promise.all([boss.close(), other.close()])
  })

  it('is named with the rule in the log, and in no answer, when somebody else calls it', async () => {
    const { client } = await connect(stack)
    vault.clear()
    await expect(client.callTool({ name: 'vault_open' })).rejects.toThrow(
      'Unknown tool: vault_open',
    )
    await eventually(() =>
      expect(lastRecord(stack)).toMatchObject({
        target: 'vault',
        outcome: 'refused',
        refusal: 'access',
        rule: 'access.roles',
      }),
    )
    await expect(client.callTool({ name: 'nobody_open' })).rejects.toThrow('Unknown tool: nobody')
    await eventually(() => expect(lastRecord(stack)?.['target']).toBeUndefined())
    expect(vault.requests).toEqual([])
    await client.close()
  })

  it('names the rule of a tool that is hidden at a target that admits its caller', async () => {
    const { client } = await connect(stack, BOSS)
    await expect(client.callTool({ name: 'vault_burn' })).rejects.toThrow('Unknown tool')
    await eventually(() =>
      expect(lastRecord(stack)).toMatchObject({ refusal: 'policy', rule: 'tools.deny "burn"' }),
    )
    await client.close()
  })

  it('is gone from a running session once its caller is no longer admitted', async () => {
    const { client, transport } = await connect(stack, BOSS)
    await client.callTool({ name: 'vault_open' })
    vault.clear()
    const session = { 'mcp-session-id': transport.sessionId ?? '' }
    const headers = { authorization: `Bearer ${await stack.token()}`, ...session }
    const list = await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/list' }, headers)
    expect((await readMessage(list)).result.tools).toHaveLength(1)
    const told = { jsonrpc: '2.0', method: 'notifications/roots/list_changed' }
    expect((await stack.post(told, headers)).status).toBe(202)
    const cancel = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }
    expect((await stack.post(cancel, headers)).status).toBe(202)
    expect(vault.requests).toEqual([])
    await client.close()
  })

  it('admits nobody with an empty list, and leaves a server that offers nothing', async () => {
    const targets = { vault: { url: vault.url, access: { roles: [] } } }
    const closed = await startStack({ identity, targets })
    const { client } = await connect(closed, BOSS)
    expect(client.getServerCapabilities()).toEqual({})
    expect(client.getInstructions()).toBeUndefined()
    expect(await client.ping()).toEqual({})
    await expect(client.callTool({ name: 'vault_open' })).rejects.toThrow('Unknown tool')
    expect(vault.requests).toEqual([])
    await client.close()
    await closed.close()
  })

  it('opens for a tenant only with the role in that tenant', async () => {
    const access = { tenants: ['T1'], permissions: ['vault.use'] }
    const both = await startStack({ identity, targets: { vault: { url: vault.url, access } } })
    const seen = async (claims: Record<string, unknown>) => {
      const { client } = await connect(both, claims)
      const isThere = client.getInstructions() !== undefined
      await client.close()
      return isThere
    }
    const held = { permissions: ['vault.use'] }
    expect(await seen({ dct: 'T1', tenants: { T1: held } })).toBe(true)
    expect(await seen({ dct: 'T1', ...held })).toBe(true)
    expect(await seen({ dct: 'T1', tenants: { T1: {}, T2: held } })).toBe(false)
    expect(await seen({ dct: 'T2', tenants: { T1: held, T2: held } })).toBe(false)
    expect(await seen({ tenants: { T1: held } })).toBe(false)
    await both.close()
  })
})

describe('a target of 2026-07-28 with "access"', () => {
  let modern: ModernRecordingTarget
  let open: ModernRecordingTarget
  let both: Stack
  beforeAll(async () => {
    modern = await startModernRecordingTarget({ resources: [{ uri: 'gold://bars', name: 'bars' }] })
    open = await startModernRecordingTarget({ instructions: 'Ask open.' })
    const targets = { modern: { url: modern.url, access: BOSS }, open: open.url }
    both = await startStack({ identity, targets })
  })
  afterAll(async () => {
    await both.close()
    await Promise.all([modern.close(), open.close()])
  })
  const ask = async (method: string, claims: Record<string, unknown>, params = {}) => {
    const authorization = `Bearer ${await both.token(claims)}`
    const answer = await postStateless(both, modernRequest(method, params), { authorization })
    return JSON.parse(answer.text)
  }

  it.each(['server/discover', 'tools/list', 'resources/list', 'resources/templates/list'])(
    'lets nobody share what those see whom it admits: %s',
    async (method) => {
      expect((await ask(method, BOSS)).result.cacheScope).toBe('private')
    },
  )

  it.each([['of several'], ['alone']])(
    'lets nobody share what they read there, %s',
    async (how) => {
      const several = { open: open.url, modern: { url: modern.url, access: BOSS } }
      const targets = how === 'alone' ? { modern: several.modern } : several
      const at = await startStack({ identity, targets })
      const uri = how === 'alone' ? 'gold://bars' : 'gold://modern/bars'
      const authorization = `Bearer ${await at.token(BOSS)}`
      const answer = await postStateless(at, modernRequest('resources/read', { uri }), {
        authorization,
      })
      expect(answer.message.result).toMatchObject({ cacheScope: 'private' })
      await at.close()
    },
  )

  it('does not keep others from the newer era where it speaks only the older one', async () => {
    const targets = { vault: { url: vault.url, access: BOSS }, open: open.url }
    const mixed = await startStack({ identity, targets })
    const statusOf = async (claims: Record<string, unknown>) => {
      const authorization = `Bearer ${await mixed.token(claims)}`
      return (await postStateless(mixed, modernRequest('tools/list'), { authorization })).status
    }
    expect(await statusOf({})).toBe(200)
    expect(await statusOf(BOSS)).toBe(400)
    await mixed.close()
  })
})
