import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { readUnverifiedClaims } from '../../../src/auth/verify/claims.js'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { runCli } from '../../helpers/cli.js'
import { clock } from '../../helpers/stack.js'
import {
  type ProtectedTarget,
  startProtectedTarget,
  tokenOf,
} from '../../helpers/targets/protected.js'

describe('a bridge that runs while somebody signs in or out elsewhere', () => {
  let identity: Identity
  let docs: ProtectedTarget
  let git: ProtectedTarget
  let home: string
  let env: Record<string, string>
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    identity = await startIdentity({ clock })
    docs = await startProtectedTarget(identity.issuer, { sessions: 'required' })
    git = await startProtectedTarget(identity.issuer, { sessions: 'required' })
    home = createHome()
    env = { MCP_DESCOPE_HOME: home, BROWSER: createBrowser(true).path }
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await Promise.all([docs.close(), git.close()])
    await identity.close()
  })

  const start = async (url: string | undefined) => {
    // nobody is at this one's browser
    const own = { ...env, BROWSER: '/bin/false', MCP_DESCOPE_LOGIN_WAIT: '1' }
    const bridge = startBridge(url, { env: own, timeoutMs: 60_000 })
    started.push(bridge)
    await bridge.handshake()
    return bridge
  }
  const login = async (who: string, ...args: string[]) => {
    identity.set({ user: { id: who } })
    expect(await runCli(['login', ...args], { env })).toMatchObject({ status: 0 })
  }
  const lastCaller = (target: ProtectedTarget) =>
    readUnverifiedClaims(tokenOf(target.of('tools/call').at(-1) as never) ?? '')['sub']
  const configure = () => {
    mkdirSync(home, { recursive: true, mode: 0o700 })
    const targets = { docs: { url: docs.url }, git: { url: git.url } }
    writeFileSync(join(home, 'config.json'), JSON.stringify({ targets }))
  }

  it('opens a session of their own for somebody else who signs in', async () => {
    await login('dana', docs.url)
    const bridge = await start(docs.url)
    await bridge.call('echo')
    expect(lastCaller(docs)).toBe('dana')
    await new Promise((resolve) => setTimeout(resolve, 3_500)) // it has looked who is signed in
    const [session] = docs.of('tools/call').map(({ headers }) => headers['mcp-session-id'])
    await login('eve', docs.url, '--force')
    await bridge.waitFor('stderr', /Somebody else is signed in to/)
    expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
    expect(lastCaller(docs)).toBe('eve')
    const last = docs.of('tools/call').at(-1)?.headers['mcp-session-id']
    expect(last).toBeDefined()
    expect(last).not.toBe(session)
    for (const { headers } of docs.requests) {
      if (headers['mcp-session-id'] !== session || headers.authorization === undefined) continue
      expect(readUnverifiedClaims(tokenOf({ headers } as never) ?? '')['sub']).toBe('dana')
    }
    await bridge.end()
  }, 60_000)

  it('notices both with several targets, and goes on with the others', async () => {
    configure()
    await login('dana', 'docs')
    await login('dana', 'git')
    const bridge = await start(undefined)
    for (const name of ['docs_echo', 'git_echo']) await bridge.call(name)
    expect([lastCaller(docs), lastCaller(git)]).toEqual(['dana', 'dana'])
    await new Promise((resolve) => setTimeout(resolve, 3_500))
    await login('eve', 'docs', '--force')
    await bridge.waitFor('stderr', /Somebody else is signed in to docs now/)
    expect(textOf(await bridge.call('docs_echo', { n: 2 }))).toContain('"n":2')
    expect(textOf(await bridge.call('git_echo', { n: 3 }))).toContain('"n":3')
    expect([lastCaller(docs), lastCaller(git)]).toEqual(['eve', 'dana'])

    expect((await runCli(['logout', 'git'], { env })).status).toBe(0)
    await bridge.waitFor('stderr', /Nobody is signed in to git now/)
    const sent = git.requests.length
    expect(textOf(await bridge.call('docs_echo', { n: 4 }))).toContain('"n":4')
    expect(textOf(await bridge.call('git_echo'))).toContain('Sign in to git')
    const late = git.requests.slice(sent)
    expect(late.every(({ headers }) => headers.authorization === undefined)).toBe(true)
    await bridge.end()
  }, 60_000)
})
