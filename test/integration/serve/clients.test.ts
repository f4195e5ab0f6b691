import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import {
  Client as ClientV2,
  StreamableHTTPClientTransport as TransportV2,
} from '@modelcontextprotocol/client'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import {
  createMemoryOAuthProvider,
  createVisitor,
  followAuthorization,
  readCallback,
} from '../../../src/demo/visitor.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { startModernTarget } from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const REDIRECT_URL = 'http://127.0.0.1:28699/callback'

let target: RecordingTarget

let stack: Stack

beforeAll(async () => {
  target = await startRecordingTarget({ sessions: 'required' })
  const credential = { type: 'bearer', token: 'token-of-the-target' } as const
  stack = await startStack({ targets: { target: { url: target.url, credential } } })
})

beforeEach(() => target.clear())

afterAll(async () => {
  await stack.close()
  await target.close()
})

/** No request at the target carried anything but the target's own credential. */
function expectOwnCredentialOnly(): void {
  expect(target.requests.length).toBeGreaterThan(0)
  for (const { headers } of target.requests) {
    expect(headers.authorization).toBe('Bearer token-of-the-target')
  }
}

it('the SDK v1 client registers, signs in and calls a tool', async () => {
  const visitor = createVisitor(stack.server.resource, fetch)
  expect(await visitor.callWithoutToken()).toContain('/.well-known/oauth-protected-resource/mcp')
  await visitor.register()
  await visitor.signIn()
  await visitor.connect()
  expect(await visitor.listTools()).toContain('target_echo')
  expect(await visitor.callTool('target_echo', { text: 'hello' })).toContain('hello')
  await visitor.close()
  expectOwnCredentialOnly()
})

async function signInV2(url: string, mode?: 'auto') {
  const provider = createMemoryOAuthProvider('v2', REDIRECT_URL)
  const createTransport = () => new TransportV2(new URL(url), { authProvider: provider as never })
  const options = mode === undefined ? {} : { versionNegotiation: { mode } }
  const first = new ClientV2({ name: 'v2', version: '1' }, options)
  await expect(first.connect(createTransport())).rejects.toThrow()
  const callback = await followAuthorization(provider.authorizationUrl as URL, REDIRECT_URL, fetch)
  const transport = createTransport()
  await transport.finishAuth(readCallback(callback, provider.expectedState))
  const client = new ClientV2({ name: 'v2', version: '1' }, options)
  await client.connect(createTransport())
  return client
}

it.each([undefined, 'auto'] as const)(
  'the SDK v2 client (%s) signs in and calls a tool of a legacy target',
  async (mode) => {
    const client = await signInV2(stack.server.resource, mode)
    const { tools } = await client.listTools()
    expect(tools.map(({ name }) => name)).toContain('target_echo')
    const result = await client.callTool({ name: 'target_echo', arguments: { text: 'hello' } })
    expect(JSON.stringify(result)).toContain('hello')
    await client.close()
    expectOwnCredentialOnly()
  },
)

it('the SDK v2 client stays in the 2026-07-28 era with a modern target', async () => {
  const modern = await startModernTarget()
  const front = await startStack({ targets: { target: modern.url } })
  try {
    const client = await signInV2(front.server.resource, 'auto')
    const { tools } = await client.listTools()
    const names = tools.map(({ name }) => name)
    expect(names.every((name) => name.startsWith('target_'))).toBe(true)
    const echo = names.find((name) => name.includes('echo')) as string
    await client.callTool({ name: echo, arguments: { text: 'hello' } })
    const call = modern.of('tools/call')[0]
    expect(call?.headers['mcp-name']).toBe(echo.slice('target_'.length))
    expect(call?.headers['mcp-protocol-version']).toBe('2026-07-28')
    expect(modern.of('initialize')).toHaveLength(0)
    await client.close()
  } finally {
    await front.close()
    await modern.close()
  }
})

it('mcp-remote registers, signs in and calls a tool', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mcp-remote-'))
  const bin = fileURLToPath(new URL('../../../node_modules/.bin/mcp-remote', import.meta.url))
  const env = { PATH: process.env['PATH'], HOME: folder, MCP_REMOTE_CONFIG_DIR: folder }
  const child = spawn(bin, [stack.server.resource, '--allow-http'], { env })
  try {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const [url] = /https?:\/\/\S+\/authorize\?\S+/.exec(line) ?? []
      if (url !== undefined) void fetch(url).catch(() => undefined)
    })
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const ask = async (id: number, method: string, params: object) => {
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`)
      for (;;) {
        const { value, done } = await lines.next()
        if (done) throw new Error('mcp-remote ended')
        const message = JSON.parse(value)
        if (message.id === id) return message.result
      }
    }
    const clientInfo = { name: 'host', version: '1' }
    await ask(1, 'initialize', { protocolVersion: '2025-06-18', capabilities: {}, clientInfo })
    child.stdin.write('{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
    const { tools } = await ask(2, 'tools/list', {})
    expect(tools.map((tool: { name: string }) => tool.name)).toContain('target_echo')
    const result = await ask(3, 'tools/call', { name: 'target_echo', arguments: { text: 'hi' } })
    expect(JSON.stringify(result)).toContain('hi')
    expectOwnCredentialOnly()
  } finally {
    child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  }
}, 60_000)
