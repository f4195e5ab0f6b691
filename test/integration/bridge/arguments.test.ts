import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CLIENT, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { createFolder } from '../../helpers/folder.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

describe('how the bridge is started', () => {
  let target: RecordingTarget
  let env: Record<string, string>
  beforeEach(async () => {
    target = await startRecordingTarget({ sessions: 'required' })
    env = { MCP_DESCOPE_HOME: createHome() }
  })
  afterEach(() => target.close())

  const VARIABLES = {
    MCP_DESCOPE_ALLOW_HTTP: '0',
    MCP_DESCOPE_CA: '',
    MCP_DESCOPE_CALLBACK_HOST: 'localhost',
    MCP_DESCOPE_CALLBACK_PORT: '28682',
    MCP_DESCOPE_HEADER: 'X-Tenant: acme corp\nX-Other: two words',
    MCP_DESCOPE_IPV4: 'true',
    MCP_DESCOPE_LOG_LEVEL: 'error',
    MCP_DESCOPE_LOGIN: 'browser',
    MCP_DESCOPE_LOGIN_WAIT: '1',
    MCP_DESCOPE_NO_BROWSER: '1',
    MCP_DESCOPE_NO_PROXY_ENV: 'true',
    MCP_DESCOPE_NO_RESOURCE: 'false',
    MCP_DESCOPE_PROFILE: 'work',
    MCP_DESCOPE_SCOPE: 'a b',
    MCP_DESCOPE_STORE: 'file',
    MCP_DESCOPE_TRANSPORT: 'http',
    MCP_DESCOPE_PROTOCOL: 'auto',
    MCP_DESCOPE_USE_SYSTEM_CA: '0',
    MCP_DESCOPE_WAIT_FOR_LOGIN: '0',
  }

  it('[bridge-variables] each flag has a variable, so that no argument needs a space or a quote', async () => {
    const bridge = startBridge(target.url, { env: { ...env, ...VARIABLES } })
    await bridge.handshake()
    await bridge.call('echo')
    await bridge.end()
    expect(target.of('tools/call')[0]?.headers).toMatchObject({
      'x-tenant': 'acme corp',
      'x-other': 'two words',
    })
    expect(bridge.stderr()).toBe('')

    const { stdout } = await runCli(['stdio', '--help'])
    const flags = [...stdout.matchAll(/^ +(?:-\w, )?--([a-z0-9-]+)/gm)].map(
      ([, flag]) => flag ?? '',
    )
    const named = flags.map((flag) => `MCP_DESCOPE_${flag.replaceAll('-', '_').toUpperCase()}`)
    const others = ['CONFIG', 'CLIENT_ID', 'CLIENT_METADATA_URL', 'LOG_FILE', 'HELP']
    const known = [...Object.keys(VARIABLES), ...others.map((name) => `MCP_DESCOPE_${name}`)]
    expect(named.length).toBeGreaterThan(15)
    expect(named.filter((name) => !known.includes(name))).toEqual([])
  })

  it.each(
    Object.keys(VARIABLES).filter((name) =>
      /ALLOW|NO_|IPV4|WAIT|HOST|PORT|LEVEL|PROTOCOL|STORE|SYSTEM/.test(name),
    ),
  )('[bridge-strict-flags] a wrong %s is an error and no warning', async (name) => {
    const bridge = startBridge(target.url, { env: { ...env, [name]: 'nonsense' } })
    expect(await bridge.request('initialize', CLIENT)).toMatchObject({
      error: { message: expect.stringContaining(name) },
    })
    expect((await bridge.ended).status).toBe(2)
  })

  it.each([
    ['--log-level', 'warn', 'URL', '--transport', 'http'],
    ['URL', '--log-level', 'warn', '--transport', 'http'],
    ['--transport=http', '--log-level=warn', 'URL'],
  ])('[bridge-strict-flags] takes its flags in any order: %s %s %s', async (...words) => {
    const args = words.filter(Boolean).map((word) => (word === 'URL' ? target.url : word))
    const bridge = startBridge(undefined, { args, env })
    await bridge.handshake()
    await bridge.end()
    expect(bridge.stderr()).toBe('')
  })

  it.each([
    { args: ['--no-browsr'], says: 'Did you mean --no-browser?' },
    { args: ['--callback-prt', '1'], says: 'Did you mean --callback-port?' },
    { args: ['--callback-port', '99999'], says: '1 to 65535' },
    { args: ['--callback-host', '0.0.0.0'], says: '127.0.0.1, localhost, ::1' },
    { args: ['--callback-host', 'evil.example'], says: '127.0.0.1, localhost, ::1' },
    { args: ['--store', 'cloud'], says: 'auto, file, keychain' },
    { args: ['http://second.example/mcp'], says: 'but got 2. Run `mcp-descope-proxy --help`' },
  ])('[bridge-strict-flags] exits 2 and tells the host after $args', async ({ args, says }) => {
    const bridge = startBridge(target.url, { args, env })
    expect(await bridge.request('initialize', CLIENT)).toMatchObject({
      error: { message: expect.stringContaining(says) },
    })
    expect((await bridge.ended).status).toBe(2)
    expect(target.requests).toEqual([])
  })

  it('[bridge-no-project-config] reads no configuration of the project that it is started in, and runs none of its code', async () => {
    const elsewhere = await startRecordingTarget()
    const config = { targets: { mine: { url: elsewhere.url } } }
    const proof = (name: string) => `require('fs').writeFileSync(${JSON.stringify(name)}, '')\n`
    const project = createFolder({
      '.mcp-descope-proxyrc': config,
      '.mcp-descope-proxyrc.json': config,
      '.mcp-descope-proxyrc.yaml': JSON.stringify(config),
      'mcp-descope-proxy.config.json': config,
      '.config/mcp-descope-proxyrc.json': config,
      'package.json': { 'mcp-descope-proxy': config },
      '.mcp-descope-proxyrc.js': proof('ran-rc'),
      '.mcp-descope-proxyrc.cjs': proof('ran-cjs'),
      'mcp-descope-proxy.config.js': proof('ran-config'),
      '.config/config.js': proof('ran-meta'),
      '.env': `MCP_DESCOPE_HEADER=X-Stolen: yes\nTARGET_MCP_SERVER_URL=${elsewhere.url}\n`,
    })
    const home = env['MCP_DESCOPE_HOME'] as string
    mkdirSync(home, { recursive: true, mode: 0o700 })
    writeFileSync(
      join(home, 'config.json'),
      JSON.stringify({ targets: { mine: { url: target.url } } }),
    )
    for (const argument of ['mine', undefined, target.url]) {
      target.clear()
      const bridge = startBridge(argument, { env, cwd: project })
      await bridge.handshake()
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      await bridge.end()
      expect(target.of('tools/call')[0]?.headers).not.toHaveProperty('x-stolen')
    }
    expect(elsewhere.requests).toEqual([])
    for (const name of ['ran-rc', 'ran-cjs', 'ran-config', 'ran-meta']) {
      expect(existsSync(join(project, name))).toBe(false)
    }
    await elsewhere.close()
  })

  it('[bridge-no-project-config] takes a configuration by --config and MCP_DESCOPE_CONFIG, and no code in it', async () => {
    const config = { targets: { mine: { url: target.url } } }
    const folder = createFolder({
      'c.json': config,
      'c.js': "require('fs').writeFileSync(__dirname + '/ran', '')",
      'import.json': { $import: './c.js', ...config },
    })
    const flag = startBridge('mine', { args: ['--config', join(folder, 'c.json')], env })
    await flag.handshake()
    await flag.end()
    const variable = startBridge('mine', {
      env: { ...env, MCP_DESCOPE_CONFIG: join(folder, 'c.json') },
    })
    await variable.handshake()
    await variable.end()
    expect(target.of('initialize')).toHaveLength(2)
    for (const name of ['c.js', 'import.json']) {
      const bad = startBridge('mine', { args: ['--config', join(folder, name)], env })
      expect(await bad.request('initialize', CLIENT)).toHaveProperty('error')
      expect((await bad.ended).status).toBe(2)
    }
    expect(existsSync(join(folder, 'ran'))).toBe(false)
  })
})
