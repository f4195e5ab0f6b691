import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLIENT, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import {
  type ModernRecordingTarget,
  startModernRecordingTarget,
} from '../../helpers/targets/modern.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

/** How users write a reference. */
const variable = (name: string) => `\${${name}}`

describe('the start of the bridge', () => {
  let target: RecordingTarget
  let home: string
  beforeEach(async () => {
    target = await startRecordingTarget({ sessions: 'required' })
    home = createHome()
  })
  afterEach(() => target.close())

  const start = (
    args: string[],
    env: Record<string, string> = {},
    url: string | undefined = target.url,
  ) => startBridge(url, { args, env: { MCP_DESCOPE_HOME: home, ...env } })

  it.each([
    { what: 'an unknown flag', args: ['--transprot', 'http'], says: 'Did you mean --transport?' },
    { what: 'a wrong choice', args: ['--transport', 'tcp'], says: 'auto, http, sse' },
    { what: 'a wrong number', args: ['--login-wait', 'soon'], says: 'a number of seconds' },
    {
      what: 'a missing file',
      args: ['--ca', '/nowhere/ca.pem'],
      says: 'Cannot read the certificates',
    },
    { what: 'a header without a name', args: ['--header', 'x'], says: 'X-Tenant: acme' },
    {
      what: 'a variable that is not set',
      args: ['--header', `X-A: ${variable('NOWHERE')}`],
      says: 'NOWHERE',
    },
  ])(
    '[bridge-strict-flags] [bridge-tells-host] tells the host of $what, and exits 2',
    async ({ args, says }) => {
      const bridge = start(args)
      const answer = await bridge.request('initialize', CLIENT)
      expect(answer['error']).toMatchObject({ message: expect.stringContaining(says) })
      expect(await bridge.ended).toMatchObject({ status: 2, stderr: expect.stringContaining(says) })
    },
  )

  it('[bridge-tells-host] tells the host when no target is named', async () => {
    const bridge = startBridge(undefined, { env: { MCP_DESCOPE_HOME: home } })
    expect(await bridge.request('initialize', CLIENT)).toMatchObject({
      error: { message: expect.stringContaining('No target is configured') },
    })
    expect((await bridge.ended).status).toBe(2)
  })

  it('[bridge-strict-flags] takes flags before and after the URL, headers with variables, and variables for flags', async () => {
    const bridge = startBridge(undefined, {
      args: ['--header', `X-Tenant: ${variable('TENANT')}`, target.url, '--log-level', 'warn'],
      env: { MCP_DESCOPE_HOME: home, TENANT: 'acme corp', MCP_DESCOPE_LOG_FILE: `${home}/b.log` },
    })
    await bridge.handshake()
    expect(target.of('initialize')[0]?.headers['x-tenant']).toBe('acme corp')
    await bridge.end()
    expect(bridge.stderr()).toBe('')
    expect(readdirSync(home)).toContain('b.log')
  })

  it('keeps an Authorization header of the user, and asks nobody to sign in', async () => {
    const bridge = start(['--header', `Authorization: Bearer ${variable('TOKEN')}`], {
      TOKEN: 'token-of-the-user',
    })
    await bridge.handshake()
    expect(target.of('initialize')[0]?.headers.authorization).toBe('Bearer token-of-the-user')
    target.intercept((_request, response) => {
      response.writeHead(401).end()
      return true
    })
    expect(await bridge.call('echo')).toMatchObject({
      error: { data: { cause: 'refused_credential' } },
    })
    await bridge.end()
  })

  it('[bridge-no-project-config] reads nothing from the working directory, and the own configuration by name', async () => {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    const tools = { deny: ['echo'] }
    writeFileSync(
      join(home, 'config.json'),
      JSON.stringify({ targets: { mine: { url: target.url, tools } } }),
    )
    const bridge = startBridge('mine', { env: { MCP_DESCOPE_HOME: home } })
    await bridge.handshake()
    const { result } = (await bridge.request('tools/list')) as {
      result: { tools: { name: string }[] }
    }
    expect(result.tools.map(({ name }) => name)).not.toContain('echo')
    expect(await bridge.call('echo')).toHaveProperty('error.code', -32602)
    await bridge.end()
  })

  it('answers lines that are no message, and goes on', async () => {
    const bridge = start([])
    bridge.child.stdin.write('this is not JSON\n\n[1,2]\n{"jsonrpc":"2.0","id":7}\n\r\n')
    await bridge.until(({ error }) => (error as { code: number })?.code === -32700)
    await bridge.handshake()
    bridge.child.stdin.write('{"jsonrpc":"2.0","id":"last","method":"ping"}')
    expect(await bridge.end()).toMatchObject({ status: 0 })
    expect(bridge.messages()).toMatchObject([
      { id: null, error: { code: -32700 } },
      { id: null, error: { code: -32600 } },
      { id: 7, error: { code: -32600 } },
      { id: 1 },
      { id: 'last', result: {} },
    ])
  })

  it('[bridge-answers-before-end] answers what was asked before stdin was closed', async () => {
    const bridge = start([])
    bridge.send({ id: 1, method: 'initialize', params: CLIENT })
    bridge.send({ method: 'notifications/initialized' })
    bridge.send({ id: 2, method: 'tools/list' })
    bridge.child.stdin.end()
    await bridge.ended
    expect(bridge.messages()).toMatchObject([
      { id: 1, result: {} },
      { id: 2, result: {} },
    ])
  })

  it('passes a cancellation on and forgets the request', async () => {
    target.on('tools/call', () => new Promise(() => {}))
    const bridge = start([])
    await bridge.handshake()
    bridge.send({ id: 50, method: 'tools/call', params: { name: 'echo' } })
    await target.until(({ rpc }) => rpc === 'tools/call')
    bridge.send({ method: 'notifications/cancelled', params: { requestId: 50 } })
    await target.until(({ rpc }) => rpc === 'notifications/cancelled')
    await bridge.end()
    expect(bridge.messages().some(({ id }) => id === 50)).toBe(false)
  })

  it('[bridge-quiet-log] rotates its log file and keeps it private', async () => {
    const bridge = start(['--log-level', 'debug', '--log-file', join(home, 'logs', 'b.log')])
    await bridge.handshake()
    await bridge.end()
    expect(readFileSync(join(home, 'logs', 'b.log'), 'utf8')).toContain('Connected to')
  })
})

describe('the bridge between a host and a target of 2026-07-28', () => {
  let target: ModernRecordingTarget
  beforeEach(async () => {
    target = await startModernRecordingTarget()
  })
  afterEach(() => target.close())

  it('[mcp-client-headers] sends the headers that the body asks for, and stays without a session', async () => {
    const bridge = startBridge(target.url, { env: { MCP_DESCOPE_HOME: createHome() } })
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'x', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    expect(await bridge.request('server/discover', { _meta })).toHaveProperty(
      'result.supportedVersions',
    )
    const call = await bridge.request('tools/call', { name: 'echo', arguments: { a: 'ü' }, _meta })
    expect(textOf(call)).toContain('ü')
    await bridge.request('resources/read', { uri: 'file:///ü', _meta })
    expect(target.violations).toEqual([])
    expect(target.requests.every(({ method }) => method === 'POST')).toBe(true)
    expect(await bridge.end()).toMatchObject({ status: 0 })
  })

  it('ends the exchange of a request that is cancelled', async () => {
    target.on('tools/call', () => new Promise(() => {}))
    const bridge = startBridge(target.url, { env: { MCP_DESCOPE_HOME: createHome() } })
    const _meta = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    bridge.send({ id: 9, method: 'tools/call', params: { name: 'echo', arguments: {}, _meta } })
    const request = await target.until(({ rpc }) => rpc === 'tools/call')
    bridge.send({ method: 'notifications/cancelled', params: { requestId: 9, _meta } })
    expect(await request.closed).toBe('aborted')
    await bridge.end()
    expect(bridge.messages()).toEqual([])
  })
})
