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

/** Tokens name the project, which the issuer of an MCP server only belongs to. */
const isFrom = (token: string, issuer: string) =>
  new URL(String(readUnverifiedClaims(token)['iss'])).origin === new URL(issuer).origin

/** The operator gives the target another authorization server, while somebody is signed in. */
describe('a target that moved to another issuer', () => {
  let before: Identity
  let after: Identity
  let target: ProtectedTarget
  let env: Record<string, string>
  const browser = createBrowser(true)
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    before = await startIdentity({ clock })
    after = await startIdentity({ clock })
    target = await startProtectedTarget(before.issuer, { sessions: 'required' })
    env = { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path }
    target.guard = (_request, token, refuse) => {
      if (isFrom(token, target.issuer)) return false
      refuse()
      return true
    }
    expect(await runCli(['login', target.url], { env })).toMatchObject({ status: 0 })
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await Promise.all([target.close(), before.close(), after.close()])
  })

  const start = () => {
    const bridge = startBridge(target.url, { env })
    started.push(bridge)
    return bridge
  }
  const move = () => {
    target.issuer = after.issuer
  }

  it('is signed in to there when a bridge starts, as a client of its own', async () => {
    move()
    const bridge = start()
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(after.counters).toMatchObject({ registrations: 1, authorizations: 1 })
    expect(before.counters).toMatchObject({ authorizations: 1, refreshes: 0 })
    for (const request of target.requests) {
      const token = tokenOf(request)
      if (token !== undefined)
        expect(isFrom(token, before.issuer) || isFrom(token, after.issuer)).toBe(true)
    }
    await bridge.end()
  })

  it('is signed in to there in the middle of a session', async () => {
    const bridge = start()
    await bridge.handshake()
    await bridge.call('echo')
    move()
    expect(textOf(await bridge.call('echo', { n: 2 }))).toContain('"n":2')
    expect(after.counters.authorizations).toBe(1)
    await bridge.end()
  })

  it('is signed in to there although the issuer of before is gone', async () => {
    move()
    await before.close()
    const bridge = start()
    await bridge.handshake()
    expect(textOf(await bridge.call('echo', { n: 3 }))).toContain('"n":3')
    await bridge.end()
  })

  it('leads to a sign-in too where it names the issuer of before and refuses its new tokens', async () => {
    target.guard = (_request, _token, refuse) => {
      refuse()
      return true
    }
    const bridge = start()
    await bridge.handshake()
    const answer = await bridge.call('echo')
    expect(JSON.stringify(answer)).toMatch(/refuses the token of a new sign-in|Sign in to/)
    expect(before.counters).toMatchObject({ refreshes: 2, authorizations: 2 })
    const status = await runCli(['status', target.url], { env })
    expect(status.stdout).toMatch(/refused/)
    await bridge.end()
  })

  it('is signed in to there by login, which does not call the old sign-in good', async () => {
    move()
    const login = await runCli(['login', target.url, '--json'], { env })
    expect(login.status).toBe(0)
    expect(JSON.parse(login.stdout)).toMatchObject({ issuer: after.issuer })
    expect(after.counters.authorizations).toBe(1)
    const again = await runCli(['login', target.url], { env })
    expect(again).toMatchObject({ status: 0, stderr: expect.stringContaining('Already signed in') })
  })
})
