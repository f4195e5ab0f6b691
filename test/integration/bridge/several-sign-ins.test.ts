import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import type { JsonObject } from '../../../src/util/json.js'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { clock } from '../../helpers/stack.js'
import { eventually } from '../../helpers/targets/eventually.js'
import {
  type ProtectedTarget,
  startProtectedTarget,
  tokenOf,
} from '../../helpers/targets/protected.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

describe('several targets that are signed in to one by one', () => {
  let identities: [Identity, Identity]
  let docs: ProtectedTarget
  let git: ProtectedTarget
  let open: RecordingTarget
  let home: string
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    identities = [await startIdentity({ clock }), await startIdentity({ clock })]
    docs = await startProtectedTarget(identities[0].issuer, { sessions: 'required' })
    git = await startProtectedTarget(identities[1].issuer)
    open = await startRecordingTarget()
    home = createHome()
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await Promise.all([docs.close(), git.close(), open.close()])
    for (const identity of identities) await identity.close()
  })

  const configure = (targets: Record<string, { url: string }>) => {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    const entries = Object.entries(targets).map(([name, { url }]) => [name, { url }])
    writeFileSync(
      join(home, 'config.json'),
      JSON.stringify({ targets: Object.fromEntries(entries) }),
    )
  }
  const start = async (browser: string, args: string[] = [], env: Record<string, string> = {}) => {
    const given = { MCP_DESCOPE_HOME: home, BROWSER: browser, ...env }
    const bridge = startBridge(undefined, { args, env: given })
    started.push(bridge)
    await bridge.handshake()
    return bridge
  }
  const tools = async (bridge: BridgeProcess) => {
    const { result } = (await bridge.request('tools/list')) as { result: { tools: JsonObject[] } }
    return result.tools
  }
  const names = async (bridge: BridgeProcess) => (await tools(bridge)).map(({ name }) => name)

  it('are all there after one tab each, and each gets its own token only', async () => {
    configure({ docs, git })
    const browser = createBrowser(true)
    const bridge = await start(browser.path)
    const calls = [bridge.call('docs_echo', { n: 1 }), bridge.call('git_echo', { n: 2 })]
    for (const [at, call] of calls.entries()) expect(textOf(await call)).toContain(`"n":${at + 1}`)
    expect(await names(bridge)).toEqual(expect.arrayContaining(['docs_echo', 'git_echo']))
    expect(await names(bridge)).not.toContain('login')
    expect(browser.urls()).toHaveLength(2)
    for (const [at, target] of [docs, git].entries()) {
      const own = identities[at]?.issuedSecrets() ?? []
      const foreign = identities[1 - at]?.issuedSecrets() ?? []
      const seen = target.requests.flatMap((request) => tokenOf(request) ?? [])
      expect(seen.length).toBeGreaterThan(0)
      for (const token of seen) expect(own).toContain(token)
      const all = JSON.stringify(target.requests.map(({ headers, body }) => [headers, body]))
      for (const secret of foreign) expect(all).not.toContain(secret)
    }
    await bridge.end()

    const next = await start(browser.path)
    expect(textOf(await next.call('git_echo', { n: 3 }))).toContain('"n":3')
    expect(browser.urls()).toHaveLength(2)
    await next.end()
  }, 40_000)

  it('do not keep each other waiting: what needs no sign-in works, and the list says how to get the rest', async () => {
    configure({ open, git })
    const browser = createBrowser(false)
    const bridge = await start(browser.path, ['--login-wait', '0.5'])
    const listed = await tools(bridge)
    expect(listed.map(({ name }) => name)).toEqual(expect.arrayContaining(['open_echo', 'login']))
    const login = listed.find(({ name }) => name === 'login')
    expect(login?.['description']).toMatch(/^Sign in to git first, .*http\S+authorize\?/)
    const early = bridge.call('git_echo')
    expect(textOf(await bridge.call('open_echo', { n: 1 }))).toContain('"n":1')
    expect((await early)['result']).toMatchObject({ isError: true })
    expect(textOf(await early)).toMatch(/http\S+authorize\?/)
    expect((await bridge.call('login'))['result']).toMatchObject({ isError: true })

    await eventually(() => expect(browser.urls()).toHaveLength(1))
    await fetch(browser.urls()[0] as string)
    await bridge.until(({ method }) => method === 'notifications/tools/list_changed')
    expect(await names(bridge)).toEqual(expect.arrayContaining(['open_echo', 'git_echo']))
    expect(await names(bridge)).not.toContain('login')
    expect(textOf(await bridge.call('login'))).toContain('Signed in')
    expect(textOf(await bridge.call('git_echo', { n: 2 }))).toContain('"n":2')
    expect(browser.urls()).toHaveLength(1)
    expect(tokenOf(open.requests[0] as never)).toBeUndefined()
    await bridge.end()
  }, 40_000)

  it('use what `login` by name kept, and take a refusal as their own matter', async () => {
    configure({ open, git })
    const env = { MCP_DESCOPE_HOME: home, BROWSER: createBrowser(true).path }
    expect(await runCli(['login', 'git'], { env })).toMatchObject({ status: 0 })
    const browser = createBrowser(true)
    const bridge = await start(browser.path, [], { MCP_DESCOPE_TOKEN: 'for-one-target-only' })
    expect(textOf(await bridge.call('git_echo', { n: 1 }))).toContain('"n":1')
    git.refused.add(tokenOf(git.of('tools/call').at(-1) as never) ?? '')
    expect(textOf(await bridge.call('git_echo', { n: 2 }))).toContain('"n":2')
    expect(identities[1].counters).toMatchObject({ refreshes: 1, authorizations: 1 })
    expect(browser.urls()).toEqual([])
    const sent = JSON.stringify([...open.requests, ...git.requests].map(({ headers }) => headers))
    expect(sent).not.toContain('for-one-target-only')
    await bridge.end()
  }, 40_000)

  it('stay up where nobody can be asked', async () => {
    configure({ open, git })
    const browser = createBrowser(true)
    const bridge = await start(browser.path, [], { CI: 'true' })
    expect(await names(bridge)).toEqual(expect.arrayContaining(['open_echo', 'login']))
    expect((await bridge.call('git_echo'))['result']).toMatchObject({ isError: true })
    expect(textOf(await bridge.call('open_echo', { n: 1 }))).toContain('"n":1')
    expect(browser.urls()).toEqual([])
    await bridge.end()
  })
})
