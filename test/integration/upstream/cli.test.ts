import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { runCli, startCli } from '../../helpers/cli.js'
import { clock } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import { connectAs, isAlive, programTarget } from '../../helpers/targets/programs.js'

let identity: Identity

let env: Record<string, string>

beforeAll(async () => {
  identity = await startIdentity({ clock })
  env = { DESCOPE_CONFIG_URL: identity.configUrl, API_KEY: 'canary-api-key' }
})

afterAll(() => identity.close())

async function writeConfig(mode?: string): Promise<string> {
  const file = join(mkdtempSync(join(tmpdir(), 'programs-')), 'config.json')
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is how users write a reference
  const t = await programTarget({ env: { API_KEY: '${API_KEY}' } }, mode)
  writeFileSync(file, JSON.stringify({ targets: { t } }))
  return file
}

async function startServe(file: string) {
  const flags = ['--port', '0', '--log-format', 'json', '--log-level', 'debug']
  const cli = startCli(['serve', '--config', file, ...flags], { env, timeoutMs: 60_000 })
  const [, url = ''] = await cli.waitFor('stderr', /"event":"listening".*?"url":"([^"]+)"/)
  const aud = `http://localhost:${new URL(url).port}/mcp`
  const token = (claims = {}) => identity.mint({ aud, ...claims })
  const { call } = await connectAs({ url, token }, 'alice')
  return { ...cli, url, call, pid: Number(await call('t_pid')) }
}

describe('serve with a program as target', () => {
  it('leaves no process after SIGTERM, and tells the command but no secret', async () => {
    const serve = await startServe(await writeConfig())
    expect(isAlive(serve.pid)).toBe(true)
    expect(await serve.call('t_env')).toContain('canary-api-key')
    serve.child.kill('SIGTERM')
    const { status, stderr } = await serve.ended
    expect(status).toBe(0)
    expect(isAlive(serve.pid)).toBe(false)
    expect(stderr).toMatch(/runs \[.*stdio-target\.mjs.*\] as process \d+/)
    expect(stderr).not.toContain('canary-api-key')
  })

  it('leaves no process when it is killed: the program sees the end of its input', async () => {
    const serve = await startServe(await writeConfig())
    serve.child.kill('SIGKILL')
    await serve.ended
    await eventually(() => expect(isAlive(serve.pid)).toBe(false))
  })

  it('leaves no process that ignores all that, when it is interrupted twice', async () => {
    const serve = await startServe(await writeConfig('stubborn'))
    serve.child.kill('SIGINT')
    await serve.waitFor('stderr', /"event":"stopping"/)
    serve.child.kill('SIGINT')
    expect(await serve.ended).toMatchObject({ status: 130 })
    await eventually(() => expect(isAlive(serve.pid)).toBe(false))
  })
})

describe('the commands', () => {
  it('show the program without its secrets', async () => {
    const file = await writeConfig()
    const { status, stdout } = await runCli(['config', 'show', '--json', '--config', file], { env })
    expect(status).toBe(0)
    expect(JSON.parse(stdout).settings).toMatchObject({
      'targets.t.command': { value: process.execPath },
      'targets.t.env': { value: { API_KEY: '[redacted]' } },
    })
    expect(stdout).not.toContain('canary-api-key')
    const explained = await runCli(['config', 'explain', 'targets.t.args', '--config', file], {
      env,
    })
    expect(explained.stdout).toContain('stdio-target.mjs')
    expect(await runCli(['config', 'validate', file], { env })).toMatchObject({ status: 0 })
  })

  it.each(['test-target', 'inspect'])('%s says what it cannot check', async (command) => {
    const file = await writeConfig()
    const { status, stderr } = await runCli([command, 't', '--config', file], { env })
    expect(status).toBe(2)
    expect(stderr).toContain('The target "t" is a program on stdio')
  })

  it('stdio gives the user a process of the program behind the sign-in at Descope', async () => {
    const file = await writeConfig()
    const token = await identity.mint({ sub: 'alice' })
    const bridge = startBridge('t', {
      args: ['--config', file],
      env: { ...env, MCP_DESCOPE_HOME: createHome(), MCP_DESCOPE_TOKEN: token },
    })
    await bridge.handshake()
    const pid = Number(textOf(await bridge.call('pid')))
    expect(isAlive(pid)).toBe(true)
    expect(await bridge.end()).toMatchObject({ status: 0 })
    expect(isAlive(pid)).toBe(false)
  })

  it('stdio wants somebody to sign in to', async () => {
    const file = await writeConfig()
    const { API_KEY = '' } = env
    const home = { MCP_DESCOPE_HOME: createHome(), API_KEY }
    const { status, stderr } = await runCli(['stdio', 't', '--config', file], { env: home })
    expect(status).toBe(2)
    expect(stderr).toContain('The target "t" is a program, which needs no sign-in')
  })
})
