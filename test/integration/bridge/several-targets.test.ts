import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startIdentity } from '../../../src/demo/identity/index.js'
import type { JsonObject } from '../../../src/util/json.js'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { clock } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

let docs: RecordingTarget

let git: RecordingTarget

let home: string

let started: BridgeProcess[]

beforeEach(async () => {
  docs = await startRecordingTarget({ sessions: 'required' })
  git = await startRecordingTarget()
  home = createHome()
  started = []
})

afterEach(async () => {
  for (const bridge of started) bridge.child.kill('SIGKILL')
  await docs.close()
  await git.close()
})

const variable = (name: string) => `\${${name}}`

function configure(more: JsonObject = {}): void {
  const credential = { type: 'bearer', token: variable('GIT_TOKEN') }
  const targets = {
    docs: { url: docs.url, tools: { deny: ['whoami'] } },
    git: { url: git.url, credential },
  }
  mkdirSync(home, { recursive: true, mode: 0o700 })
  writeFileSync(join(home, 'config.json'), JSON.stringify({ targets, ...more }))
}

function start(name?: string, args: string[] = [], env: Record<string, string> = {}) {
  const given = { MCP_DESCOPE_HOME: home, GIT_TOKEN: 'the-token-for-git', ...env }
  const bridge = startBridge(name, { args, env: given })
  started.push(bridge)
  return bridge
}

const toolNames = async (bridge: BridgeProcess) => {
  const { result } = (await bridge.request('tools/list')) as { result: { tools: JsonObject[] } }
  return result.tools.map(({ name }) => name)
}

describe('several targets behind one bridge', () => {
  it('have their names in front and get their own credentials', async () => {
    configure()
    const bridge = start()
    await bridge.handshake()
    const names = await toolNames(bridge)
    expect(names).toEqual(expect.arrayContaining(['docs_echo', 'git_echo']))
    expect(textOf(await bridge.call('docs_echo', { n: 1 }))).toContain('"n":1')
    expect(textOf(await bridge.call('git_echo', { n: 2 }))).toContain('"n":2')
    expect(docs.of('tools/call')[0]?.headers.authorization).toBeUndefined()
    expect(git.of('tools/call')[0]?.headers.authorization).toBe('Bearer the-token-for-git')
    await bridge.end()
    expect(docs.sessions.size).toBe(0)
  })

  it('do not hide each other when one is down', async () => {
    configure()
    await docs.close()
    const bridge = start()
    await bridge.handshake()
    const names = await toolNames(bridge)
    expect(names).toContain('git_echo')
    expect(names).not.toContain('docs_echo')
    expect(textOf(await bridge.call('git_echo', { n: 2 }))).toContain('"n":2')
    expect(await bridge.call('docs_echo')).toHaveProperty('error.data.cause', 'unreachable')
    await bridge.end()
  })

  it('share one sign-in at Descope, whose token none of them sees', async () => {
    const identity = await startIdentity({ clock })
    configure({ descope: { configUrl: identity.configUrl } })
    const browser = createBrowser(true)
    const bridge = start(undefined, [], { BROWSER: browser.path })
    await bridge.handshake()
    expect(textOf(await bridge.call('docs_echo', { n: 1 }))).toContain('"n":1')
    expect(textOf(await bridge.call('git_echo', { n: 2 }))).toContain('"n":2')
    expect(browser.urls()).toHaveLength(1)
    expect(await toolNames(bridge)).toEqual(expect.arrayContaining(['docs_echo', 'git_echo']))
    const secrets = identity.issuedSecrets()
    for (const { headers, body } of [...docs.requests, ...git.requests]) {
      const sent = JSON.stringify([headers, body])
      for (const secret of secrets) expect(sent).not.toContain(secret)
    }
    await bridge.end()
    await identity.close()
  })

  it('have no prefix when one is named, unless it is configured', async () => {
    configure()
    const bridge = start('git')
    await bridge.handshake()
    expect(await toolNames(bridge)).toContain('echo')
    await bridge.end()
    const targets = { a: { url: docs.url, prefix: 'a' }, b: { url: git.url } }
    writeFileSync(join(home, 'config.json'), JSON.stringify({ targets }))
    const other = start('a')
    await other.handshake()
    expect(await toolNames(other)).toContain('a_echo')
    await other.end()
  })

  it('do not share a header that is meant for one', async () => {
    configure()
    const bridge = start(undefined, ['--header', 'X-Key: secret'])
    const { status, stderr } = await bridge.end()
    expect(status).toBe(2)
    expect(stderr).toContain('--header is for one target')
    expect([...docs.requests, ...git.requests]).toEqual([])
  })
})
