import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeJwt } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { IdentityInput } from '../../../src/demo/identity/index.js'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { type Stack, startStack } from '../../helpers/stack.js'
import { tool } from '../../helpers/targets/contents.js'
import { startGuardedTarget } from '../../helpers/targets/guarded.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

describe('a tool that needs a step-up, through the bridge', () => {
  let target: RecordingTarget
  let stack: Stack
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    target = await startRecordingTarget({ tools: [tool('echo'), tool('transfer')] })
    target.on('tools/call', ({ name }) => ({ content: [{ type: 'text', text: `did ${name}` }] }))
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await stack.close()
    await target.close()
  })

  async function open(identity: IdentityInput, env: Record<string, string> = {}) {
    const tools = { stepUp: ['transfer'] }
    stack = await startStack({
      identity,
      targets: { bank: { url: target.url, prefix: '', tools } },
    })
    const browser = createBrowser(true)
    const home = createHome()
    const all = { MCP_DESCOPE_HOME: home, BROWSER: browser.path, ...env }
    const bridge = startBridge(stack.server.resource, { env: all })
    started.push(bridge)
    await bridge.handshake()
    return { bridge, browser, env: all }
  }

  it('has the person sign in again, with prompt=login, and is then called', async () => {
    const { bridge, browser } = await open({ stepUp: 'asked' })
    expect(textOf(await bridge.call('echo'))).toBe('did echo')
    expect(browser.urls()).toHaveLength(1)
    expect(new URL(browser.urls()[0] as string).searchParams.get('prompt')).toBeNull()
    const [transfer, echo] = await Promise.all([bridge.call('transfer'), bridge.call('echo')])
    expect([textOf(transfer), textOf(echo)]).toEqual(['did transfer', 'did echo'])
    expect(browser.urls()).toHaveLength(2)
    expect(new URL(browser.urls()[1] as string).searchParams.get('prompt')).toBe('login')
    expect(textOf(await bridge.call('transfer'))).toBe('did transfer')
    expect(browser.urls()).toHaveLength(2)
    expect(stack.identity.requests.filter(({ path }) => path.endsWith('/token'))).toHaveLength(2)
    expect(await bridge.end()).toMatchObject({ status: 0 })
  })

  it('is refused with a text when no sign-in is enough, and the other tools go on', async () => {
    const { bridge, browser } = await open({ stepUp: false })
    await bridge.call('echo')
    for (let count = 1; count <= 5; count++) {
      const answer = await bridge.call('transfer')
      expect(answer['result']).toMatchObject({ isError: true })
      expect(textOf(answer)).toMatch(count <= 3 ? /even after a sign-in/ : /step-up/)
    }
    expect(browser.urls()).toHaveLength(4)
    expect(textOf(await bridge.call('echo'))).toBe('did echo')
    expect(target.of('tools/call')).toHaveLength(2)
    await bridge.end()
  })

  it('of a policy of the bridge itself has the person sign in again too', async () => {
    const { bridge: unused } = await open({ stepUp: 'asked' })
    await unused.end()
    const file = writeConfig({
      descope: { configUrl: stack.identity.configUrl },
      targets: {
        bank: {
          url: target.url,
          credential: { type: 'header', name: 'x-key', value: 'of-the-bank' },
          tools: { stepUp: ['transfer'] },
        },
      },
    })
    const browser = createBrowser(true)
    const env = { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path }
    const bridge = startBridge(undefined, { args: ['--config', file], env })
    started.push(bridge)
    await bridge.handshake()
    expect(textOf(await bridge.call('echo'))).toBe('did echo')
    expect(textOf(await bridge.call('transfer'))).toBe('did transfer')
    expect(browser.urls()).toHaveLength(2)
    expect(target.of('tools/call')).toHaveLength(2)
    await bridge.end()
  })

  it('has the person sign in with the acr_values and max_age of the target, at its own URL', async () => {
    const { bridge: unused } = await open({ stepUp: 'asked' })
    await unused.end()
    const { identity } = stack
    const challenge = (origin: string) =>
      `Bearer error="insufficient_user_authentication", acr_values="gold", max_age="60", resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`
    const guarded = await startGuardedTarget(identity, {
      challenge,
      accepts: (token) =>
        identity.issuedSecrets().includes(token) && decodeJwt(token)['su'] === true,
    })
    const browser = createBrowser(true)
    const env = { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path }
    const bridge = startBridge(guarded.url, { env })
    started.push(bridge)
    await bridge.handshake()
    expect(await bridge.call('echo')).toHaveProperty('result')
    const asked = new URL(browser.urls().at(-1) as string).searchParams
    expect([asked.get('acr_values'), asked.get('max_age')]).toEqual(['gold', '60'])
    await bridge.end()
    await guarded.close()
  })

  it('is refused with what to do where a token from the environment lacks it', async () => {
    const { bridge } = await open({})
    const token = await stack.token()
    const own = startBridge(stack.server.resource, {
      env: { MCP_DESCOPE_HOME: createHome(), MCP_DESCOPE_TOKEN: token },
    })
    started.push(own)
    await own.handshake()
    const answer = await own.call('transfer')
    expect(JSON.stringify(answer)).toMatch(/MCP_DESCOPE_TOKEN lacks a step-up/)
    expect(textOf(await own.call('echo'))).toBe('did echo')
    await bridge.end()
  })
})

describe('config explain-access', () => {
  it('names the rule for a step-up, and says that the claim su meets it', async () => {
    const tools = { stepUp: ['transfer_*'] }
    const file = writeConfig({ targets: { bank: { url: 'http://127.0.0.1:9/mcp', tools } } })
    const explain = async (claims: object) => {
      const who = ['--claims', JSON.stringify(claims), '--config', file]
      const { stdout } = await runCli(['config', 'explain-access', 'bank_transfer_x', ...who], {})
      return stdout
    }
    expect(await explain({ sub: 'u' })).toMatch(
      /refused.*step_up \(tools\.stepUp "transfer_\*"\): needs the claim "su": true/,
    )
    expect(await explain({ sub: 'u', su: true })).toMatch(/allowed {2}tool/)
  })
})

function writeConfig(config: object): string {
  const file = join(mkdtempSync(join(tmpdir(), 'step-up-')), 'config.json')
  writeFileSync(file, JSON.stringify(config))
  return file
}
