import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createBrowser, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { clock } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

/** Everybody may say hello there, and only those who are signed in may say anything else. */
describe('a target that refuses everything but initialize', () => {
  let identity: Identity
  let target: RecordingTarget
  const initialized = new Set<string>()

  beforeEach(async () => {
    identity = await startIdentity({ clock })
    target = await startRecordingTarget({ sessions: 'required' })
    initialized.clear()
    const origin = new URL(target.url).origin
    target.intercept(async ({ url, rpc, headers }, response) => {
      if (url.startsWith('/.well-known/oauth-protected-resource')) {
        const metadata = { resource: target.url, authorization_servers: [identity.issuer] }
        response.setHeader('content-type', 'application/json').end(JSON.stringify(metadata))
        return true
      }
      if (rpc === 'initialize' || rpc === 'server/discover') return false
      if (headers.authorization === undefined) {
        const where = `${origin}/.well-known/oauth-protected-resource/mcp`
        const challenge = `Bearer resource_metadata="${where}"`
        response.writeHead(401, { 'www-authenticate': challenge }).end()
        return true
      }
      const session = String(headers['mcp-session-id'])
      if (rpc === 'notifications/initialized') initialized.add(session)
      else if (rpc !== undefined && !initialized.has(session)) {
        response.writeHead(400).end('not initialized')
        return true
      }
      return false
    })
  })
  afterEach(async () => {
    await target.close()
    await identity.close()
  })

  it('hears after the sign-in what it refused before, and only then the requests', async () => {
    const browser = createBrowser(true)
    const bridge = startBridge(target.url, {
      env: { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path },
    })
    await bridge.handshake()
    bridge.send({ method: 'notifications/roots/list_changed' })
    expect(textOf(await bridge.call('echo', { n: 1 }))).toContain('"n":1')
    expect(browser.urls()).toHaveLength(1)
    const sent = target.requests.filter(({ headers }) => headers.authorization !== undefined)
    const methods = sent.map(({ rpc }) => rpc).filter((rpc) => rpc !== undefined)
    expect(methods[0]).toBe('notifications/initialized')
    expect(methods).toContain('notifications/roots/list_changed')
    expect(methods.filter((rpc) => rpc === 'notifications/initialized')).toHaveLength(1)
    await bridge.end()
  })
})
