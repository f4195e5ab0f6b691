import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createBrowser, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { clock } from '../../helpers/stack.js'
import { startProtectedTarget } from '../../helpers/targets/protected.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

const COOKIE = 'lb=a-cookie-of-the-balancer'

const closing: (() => unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

describe('a target behind a load balancer that sets a cookie', () => {
  it('[bridge-cookies] gets it back with every request of the same bridge, and from no other one', async () => {
    const target = await startRecordingTarget({
      sessions: 'required',
      headers: { 'set-cookie': `${COOKIE}; Path=/; HttpOnly` },
    })
    closing.push(target.close)
    const env = { MCP_DESCOPE_HOME: createHome() }
    for (let start = 0; start < 2; start++) {
      target.clear()
      const bridge = startBridge(target.url, { env })
      closing.push(() => bridge.child.kill('SIGKILL'))
      await bridge.handshake()
      expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
      await bridge.end()
      const [first, ...others] = target.requests
      expect(first?.headers.cookie).toBeUndefined()
      expect(others.map(({ method }) => method)).toEqual(
        expect.arrayContaining(['POST', 'GET', 'DELETE']),
      )
      for (const { headers } of others) expect(headers.cookie).toBe(COOKIE)
    }
  })

  it('[bridge-cookies] is the only one that gets it, and it is neither stored nor logged', async () => {
    const identity: Identity = await startIdentity({ clock })
    const target = await startProtectedTarget(identity.issuer, {
      headers: { 'set-cookie': `${COOKIE}; Path=/` },
    })
    closing.push(identity.close, target.close)
    const home = createHome()
    const bridge = startBridge(target.url, {
      args: ['--log-level', 'debug', '--log-file', join(home, 'b.log')],
      env: { MCP_DESCOPE_HOME: home, BROWSER: createBrowser(true).path },
    })
    closing.push(() => bridge.child.kill('SIGKILL'))
    await bridge.handshake()
    await bridge.call('echo')
    await bridge.request('tools/list')
    await bridge.end()
    expect(target.of('tools/list')[0]?.headers.cookie).toBe(COOKIE)
    expect(JSON.stringify(identity.requests)).not.toContain(COOKIE)
    for (const entry of readdirSync(home, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const text = readFileSync(join(entry.parentPath, entry.name), 'utf8')
      expect(text).not.toContain('a-cookie-of-the-balancer')
    }
    expect(bridge.stderr()).not.toContain('a-cookie-of-the-balancer')
  })
})
