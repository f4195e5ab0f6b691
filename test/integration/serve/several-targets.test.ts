import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readMessage, type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'a-session-secret-of-more-than-32-bytes'
const LONG = `read_${'every_single_'.repeat(5)}page`

let plain: RecordingTarget
let stateful: RecordingTarget
let stack: Stack
const config = { session: { secret: SECRET }, server: { publicUrl: 'http://localhost:8123' } }

const targets = () => ({
  a: { url: plain.url, tools: { deny: ['delete_*'], scopes: { 'write*': ['docs:write'] } } },
  a_b: stateful.url,
  gone: 'http://127.0.0.1:9/mcp',
})

beforeAll(async () => {
  plain = await startRecordingTarget({
    tools: ['echo', 'b_echo', 'delete_all', 'write', LONG].map((name) => tool(name)),
  })
  stateful = await startRecordingTarget({ sessions: 'required', tools: [tool('echo')] })
  stack = await startStack({ targets: targets(), config })
})
beforeEach(() => {
  plain.clear()
  stateful.clear()
})
afterAll(async () => {
  await stack.close()
  await plain.close()
  await stateful.close()
})

const hello = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: {
    protocolVersion: '2025-11-25',
    capabilities: {},
    clientInfo: { name: 'c', version: '1' },
  },
}
const list = { jsonrpc: '2.0', id: 2, method: 'tools/list' }
const callOf = (name: string) => ({
  jsonrpc: '2.0',
  id: 3,
  method: 'tools/call',
  params: { name, arguments: { big: 'x' } },
})

async function session(at: Stack, headers: Record<string, string> = {}) {
  const response = await at.post(hello, headers)
  const id = response.headers.get('mcp-session-id') ?? ''
  await response.text()
  return { ...headers, 'mcp-session-id': id }
}

const namesOf = async (response: Response) => {
  const { result } = await readMessage(response)
  return result.tools.map(({ name }: { name: string }) => name) as string[]
}

describe('several targets', () => {
  it('are one list, with the one that is down named and the denied tool left out', async () => {
    const response = await stack.post(list, await session(stack))
    const { result } = await readMessage(response)
    const names = result.tools.map(({ name }: { name: string }) => name)
    expect(names).toContain('a_echo')
    expect(names).toContain('a_b_echo')
    expect(names).toContain('a_write')
    expect(names.some((name: string) => name.includes('delete'))).toBe(false)
    expect(result._meta).toEqual({ 'mcp-descope-proxy/unavailableTargets': ['gone'] })
  })

  it('get their calls by the longest prefix, and the other tool an alias', async () => {
    const headers = await session(stack)
    await stack.post(callOf('a_b_echo'), headers)
    expect(stateful.of('tools/call')).toHaveLength(1)
    expect(plain.of('tools/call')).toHaveLength(0)
    const alias = (await namesOf(await stack.post(list, headers))).find((name) =>
      /^a_b_echo_[0-9a-f]{6}$/.test(name),
    )
    await stack.post(callOf(alias as string), headers)
    expect(plain.of('tools/call')[0]?.message).toMatchObject({ params: { name: 'b_echo' } })
  })

  it('take a long name by its alias, also in a process that has not listed yet', async () => {
    const names = await namesOf(await stack.post(list, await session(stack)))
    const alias = names.find((name) => name.startsWith('a_read_every')) as string
    expect(alias).toHaveLength(56)
    const fresh = await startStack({ targets: targets(), config })
    try {
      const { result } = await readMessage(await fresh.post(callOf(alias), await session(fresh)))
      expect(result).toBeDefined()
      expect(plain.of('tools/call')[0]?.message).toMatchObject({ params: { name: LONG } })
    } finally {
      await fresh.close()
    }
  })

  it('take an alias in calls that come at the same time to a fresh process', async () => {
    const names = await namesOf(await stack.post(list, await session(stack)))
    const alias = names.find((name) => name.startsWith('a_read_every')) as string
    const fresh = await startStack({ identity: stack.identity, targets: targets(), config })
    plain.clear()
    try {
      const calls = Array.from({ length: 6 }, () => fresh.post(callOf(alias)))
      const answers = await Promise.all((await Promise.all(calls)).map(readMessage))
      expect(answers.filter(({ result }) => result !== undefined)).toHaveLength(6)
      expect(plain.of('tools/list')).toHaveLength(1)
    } finally {
      await fresh.close()
    }
  })

  it('are not listed again and again for aliases that a caller makes up', async () => {
    const fresh = await startStack({ identity: stack.identity, targets: targets(), config })
    plain.clear()
    try {
      for (let n = 0; n < 20; n++) {
        const made = await readMessage(await fresh.post(callOf(`a_${n}_abcdef`)))
        expect(made).toHaveProperty('id', 3)
      }
      expect(plain.of('tools/list')).toHaveLength(1)
    } finally {
      await fresh.close()
    }
  })

  it('take an alias once its target is up, when it was down at the first try', async () => {
    const names = await namesOf(await stack.post(list, await session(stack)))
    const alias = names.find((name) => name.startsWith('a_read_every')) as string
    const fresh = await startStack({ identity: stack.identity, targets: targets(), config })
    plain.intercept((_request, response) => {
      response.writeHead(503).end()
      return true
    })
    try {
      const { error } = await readMessage(await fresh.post(callOf(alias)))
      expect(error.data).toMatchObject({ target: 'a', httpStatus: 503 })
      plain.intercept(undefined)
      expect((await readMessage(await fresh.post(callOf(alias)))).result).toBeDefined()
      const before = plain.of('tools/list').length
      await fresh.post(callOf('a_none_facade'))
      await fresh.post(callOf('a_none_facade'))
      expect(plain.of('tools/list')).toHaveLength(before)
    } finally {
      plain.intercept(undefined)
      await fresh.close()
    }
  })

  it.each(['a_delete_all', 'delete_all', 'A_ECHO', 'echo', 'a_'])(
    'refuse the call of %s as an unknown tool',
    async (name) => {
      const { error } = await readMessage(await stack.post(callOf(name), await session(stack)))
      expect(error).toMatchObject({ code: -32602, message: `Unknown tool: ${name}` })
      expect(plain.of('tools/call')).toHaveLength(0)
    },
  )

  it('ask for the scope that a call needs, and let it pass with the scope', async () => {
    const response = await stack.post(callOf('a_write'), await session(stack))
    expect(response.status).toBe(403)
    expect(response.headers.get('www-authenticate')).toMatch(
      /error="insufficient_scope".*scope="docs:write mcp:use"/,
    )
    const token = await stack.token({ scope: 'mcp:use docs:write' })
    const headers = await session(stack, { authorization: `Bearer ${token}` })
    expect((await stack.post(callOf('a_write'), headers)).status).toBe(200)
  })

  it('accept initialize also from a client that adds the envelope of 2026-07-28', async () => {
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
    const response = await stack.post({ ...hello, params: { ...hello.params, _meta } })
    expect(response.status).toBe(200)
    expect((await readMessage(response)).result.protocolVersion).toBe('2025-11-25')
  })

  it('are offered in the legacy era only while one of them speaks nothing else', async () => {
    const meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    const discover = { jsonrpc: '2.0', id: 1, method: 'server/discover', params: { _meta: meta } }
    const headers = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'server/discover' }
    const response = await stack.post(discover, headers)
    expect(response.status).toBe(400)
    expect((await readMessage(response)).error).toMatchObject({
      code: -32601,
      message: expect.stringContaining('2025-11-25, 2025-06-18, 2025-03-26'),
    })
  })
})
