import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isObject, type JsonObject } from '../../../src/util/json.js'
import { type BridgeProcess, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { BIN } from '../../helpers/cli.js'
import { connectHost } from '../../helpers/legacy-host.js'
import { tool } from '../../helpers/targets/contents.js'
import { startModernRecordingTarget, startModernTarget } from '../../helpers/targets/modern.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'
import { startSdkV1Target, startSdkV2Target } from '../../helpers/targets/sdk.js'
import type { SdkV2Target } from '../../helpers/targets/sdk-v2.js'
import { translatesForLegacyHosts } from '../../helpers/translation-suite.js'

describe('an SDK v1 client at a target that speaks only 2026-07-28, through the bridge', () => {
  translatesForLegacyHosts(async (url) => {
    const transport = new StdioClientTransport({
      command: process.execPath,
      args: [BIN, 'stdio', url],
      env: { MCP_DESCOPE_HOME: createHome(), CI: 'true' },
      stderr: 'ignore',
    })
    const host = await connectHost(transport)
    return { host, close: () => host.close() }
  })
})

const CI = { CI: 'true' }

const START = {
  protocolVersion: '2025-06-18',
  capabilities: {},
  clientInfo: { name: 'h', version: '1' },
}

const META = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'modern-host', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
}

describe('the bridge and a target that speaks only 2026-07-28', () => {
  let target: SdkV2Target
  let bridge: BridgeProcess
  beforeEach(async () => {
    target = await startModernTarget()
  })
  afterEach(async () => {
    await bridge.end()
    await target.close()
  })

  it('passes progress on while a call runs', async () => {
    bridge = startBridge(target.url, { env: CI })
    await bridge.handshake()
    const _meta = { progressToken: 'p' }
    await bridge.request('tools/call', { name: 'progress', arguments: { steps: 2 }, _meta })
    const progress = bridge.received('notifications/progress').map(({ params }) => params)
    expect(progress).toMatchObject([
      { progressToken: 'p', progress: 1 },
      { progressToken: 'p', progress: 2 },
    ])
  })

  it('leaves it alone with --protocol legacy', async () => {
    bridge = startBridge(target.url, { env: CI, args: ['--protocol', 'legacy'] })
    const started = await bridge.request('initialize', START)
    expect(started).toMatchObject({ error: { code: -32022 } })
    const discovered = await bridge.request('server/discover', { _meta: META })
    expect(discovered).toMatchObject({
      error: { code: -32601 },
    })
    expect(target.of('server/discover')).toHaveLength(0)
  })

  it('speaks to it at once with MCP_DESCOPE_PROTOCOL=2026-07-28', async () => {
    bridge = startBridge(target.url, { env: { ...CI, MCP_DESCOPE_PROTOCOL: '2026-07-28' } })
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { text: 'hello' }))).toBe('hello')
    expect(target.of('initialize')).toHaveLength(0)
  })

  it('relays a host that speaks 2026-07-28 itself', async () => {
    bridge = startBridge(target.url, { env: CI })
    const { result } = await bridge.request('server/discover', { _meta: META })
    expect(result).toMatchObject({ supportedVersions: ['2026-07-28'] })
    const params = { name: 'ask_user', arguments: {}, _meta: META }
    const answer = await bridge.request('tools/call', params)
    // it has no user to ask, and the target says so itself
    expect(isObject(answer['error']) || isObject(answer['result'])).toBe(true)
    expect(target.of('tools/call')[0]?.message).toMatchObject({ params })
  })
})

describe('the bridge and a host that speaks 2026-07-28', () => {
  it('[mcp-translate-params] adds the headers that a host on stdio does not know, and leaves tools out', async () => {
    const region = (header: string) => ({
      inputSchema: {
        type: 'object',
        properties: { region: { type: 'string', 'x-mcp-header': header } },
      },
    })
    const target = await startModernRecordingTarget({
      tools: [tool('near', region('Region')), tool('broken', region('no token'))],
    })
    const bridge = startBridge(target.url, { env: CI })
    await bridge.request('server/discover', { _meta: META })
    const params = { name: 'near', arguments: { region: 'eu' }, _meta: META }
    expect(await bridge.request('tools/call', params)).toMatchObject({ result: {} })
    expect(target.of('tools/call')[0]?.headers['mcp-param-region']).toBe('eu')
    const listed = await bridge.request('tools/list', { _meta: META })
    const { tools } = listed['result'] as { tools: JsonObject[] }
    expect(tools.map(({ name }) => name)).toEqual(['near'])
    expect(target.violations).toEqual([])
    await bridge.end()
    await target.close()
  })
})

describe('the bridge and targets of other eras', () => {
  it('[mcp-translate-dual] does not ask a target that answers initialize', async () => {
    const target = await startSdkV2Target()
    const bridge = startBridge(target.url, { env: CI })
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { text: 'hello' }))).toBe('hello')
    expect(target.of('server/discover')).toHaveLength(0)
    await bridge.end()
    await target.close()
  })

  it('asks for a sign-in where only server/discover does, and initialize is refused to everybody', async () => {
    const target = await startModernRecordingTarget()
    target.intercept(({ rpc, headers }, response) => {
      if (rpc === 'initialize' || headers.authorization !== undefined) return false
      response.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
      return true
    })
    const bridge = startBridge(target.url, { env: CI })
    expect(await bridge.request('initialize', START)).toMatchObject({
      result: { protocolVersion: '2025-06-18' },
    })
    expect(textOf(await bridge.call('echo'))).toContain('Nobody is signed in')
    await bridge.end()
    await target.close()
  })

  it('says so when --protocol asks for what the target does not speak', async () => {
    const target = await startRecordingTarget({ sessions: 'required' })
    const bridge = startBridge(target.url, { env: CI, args: ['--protocol', '2026-07-28'] })
    expect(await bridge.request('initialize', START)).toMatchObject({
      error: { message: expect.stringContaining('does not speak 2026-07-28') },
    })
    await bridge.end()
    await target.close()
  })

  it('[mcp-translate-mixed] serves several targets, each in its own era', async () => {
    const [old, modern] = [await startSdkV1Target(), await startModernTarget()]
    const home = createHome()
    const config = `${home}/config.json`
    const { mkdir, writeFile } = await import('node:fs/promises')
    await mkdir(home, { recursive: true })
    const targets = { old: { url: old.url }, modern: { url: modern.url } }
    await writeFile(config, JSON.stringify({ targets }), { mode: 0o600 })
    const bridge = startBridge(undefined, { env: CI, args: ['--config', config] })
    await bridge.handshake()
    expect(textOf(await bridge.call('old_echo', { text: 'a' }))).toBe('a')
    expect(textOf(await bridge.call('modern_regional', { region: 'é' }))).toBe('é')
    await bridge.end()
    await Promise.all([old.close(), modern.close()])
  })
})
