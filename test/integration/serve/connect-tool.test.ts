import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { ConfigInput } from '../../../src/config/types.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { clock, readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'
import { MCP_HEADERS } from '../../helpers/targets/raw-client.js'
import type { RecordingTarget } from '../../helpers/targets/recording.js'

type Tools = NonNullable<NonNullable<ConfigInput['targets']>[string]['tools']>

const CONNECT = 'github_connect_gh_com'

let identity: Identity
let github: RecordingTarget
beforeAll(async () => {
  identity = await startIdentity({ clock, scopes: ['mcp:use', 'outbound.token.fetch'] })
  const accepts = (token: string) => identity.issuedSecrets().includes(token)
  github = await startGuardedTarget(
    identity,
    { accepts },
    { sessions: 'required', tools: [tool('read'), tool('connect_gh_com')] },
  )
  github.on('tools/call', ({ name }) => ({ content: [{ type: 'text', text: `called ${name}` }] }))
})
afterEach(async () => {
  github.clear()
  await fetch(`${identity.url}/__test/connections`, { method: 'DELETE' })
})
afterAll(() => Promise.all([github.close(), identity.close()]))

async function using(tools: Tools | undefined, use: (stack: Stack) => Promise<void>) {
  const credential = { type: 'connection', app: 'gh.com' } as const
  const stack = await startStack({
    identity,
    targets: { github: { url: github.url, credential, ...(tools && { tools }) } },
  })
  try {
    await use(stack)
  } finally {
    await stack.close()
  }
}

async function signIn(stack: Stack, claims: Record<string, unknown>) {
  const token = await stack.token({ scope: 'mcp:use outbound.token.fetch', ...claims })
  let session: string | undefined
  const ask = async (method: string, params: object = {}, write = (body: string) => body) => {
    const answer = await fetch(stack.url, {
      method: 'POST',
      headers: {
        ...MCP_HEADERS,
        authorization: `Bearer ${token}`,
        ...(session !== undefined && { 'mcp-session-id': session }),
      },
      body: write(JSON.stringify({ jsonrpc: '2.0', id: 7, method, params })),
    })
    session = answer.headers.get('mcp-session-id') ?? session
    return readMessage(answer)
  }
  await ask('initialize', {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'test', version: '1' },
  })
  const tools = async (cursor?: string): Promise<string[]> => {
    const { result } = await ask('tools/list', { ...(cursor !== undefined && { cursor }) })
    const names = result.tools.map(({ name }: { name: string }) => name)
    return result.nextCursor === undefined ? names : [...names, ...(await tools(result.nextCursor))]
  }
  const call = async (name: string, written = name) => {
    const { result, error } = await ask('tools/call', { name, arguments: {} }, (body) =>
      body.replace(name, written),
    )
    return String(result?.content[0].text ?? error.message)
  }
  return { tools, call }
}

const connect = (userId: string) =>
  identity.set({
    connections: [{ appId: 'gh.com', userId, accessToken: identity.issuedSecrets()[0] as string }],
  })

describe('the tool to connect', () => {
  const NARROW: Tools[] = [
    { allow: ['read'] },
    { deny: ['connect_*'] },
    { deny: ['c*'], allow: ['read', 'c*'] },
    { roles: { 'connect*': ['admin'] } },
  ]

  it.each(NARROW)('is there whatever single tools of the target are allowed: %j', (tools) =>
    using(tools, async (stack) => {
      const user = await signIn(stack, { sub: 'U2new' })
      expect(await user.tools()).toEqual([CONNECT])
      expect(await user.call(CONNECT)).toContain('/connect/')
    }),
  )

  it.each<Tools>([{ allow: [] }, { deny: ['*'] }, { roles: { '*': ['admin'] } }])(
    'is not there for whom no tool is: %j',
    (tools) =>
      using(tools, async (stack) => {
        const user = await signIn(stack, { sub: 'U2new' })
        expect(await user.tools()).toEqual([])
        expect(await user.call(CONNECT)).toBe(`Unknown tool: ${CONNECT}`)
      }),
  )

  it.each(NARROW)('leads to no tool of its name that the policy keeps from callers: %j', (tools) =>
    using(tools, async (stack) => {
      connect('U2done')
      const user = await signIn(stack, { sub: 'U2done' })
      expect(await user.tools()).not.toContain(CONNECT)
      expect(await user.call(CONNECT)).toContain('is connected')
      expect(await user.call(CONNECT, 'github_\\u0063onnect_gh_com')).toContain('is connected')
      expect(github.requests.filter(({ rpc }) => rpc === 'tools/call')).toEqual([])
    }),
  )

  it('leaves a call to the tool of its name that the target lists, on whichever page', () =>
    using(undefined, async (stack) => {
      connect('U2done')
      github.on('tools/list', ({ cursor }) =>
        cursor === undefined
          ? { tools: [tool('read')], nextCursor: '2' }
          : { tools: [tool('connect_gh_com')] },
      )
      const user = await signIn(stack, { sub: 'U2done' })
      expect(await user.tools()).toEqual(['github_read', CONNECT])
      expect(await user.call(CONNECT)).toBe('called connect_gh_com')
    }))
})

it('users whose tokens share a subject get nothing that was listed for each other', () =>
  using(undefined, async (stack) => {
    connect('U2one')
    const one = await signIn(stack, { sub: 'acme', dsub: 'U2one' })
    expect(await one.tools()).toContain('github_read')
    const two = await signIn(stack, { sub: 'acme', dsub: 'U2two' })
    expect(await two.tools()).toEqual([CONNECT])
  }))
