import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { JsonObject } from '../../../src/util/json.js'
import {
  type BridgeProcess,
  createBrowser,
  createHome,
  startBridge,
  textOf,
} from '../../helpers/bridge.js'
import { type ScriptedIssuer, startScriptedIssuer } from '../../helpers/scripted-issuer.js'
import { type ProtectedTarget, startProtectedTarget } from '../../helpers/targets/protected.js'

/** A browser with a session: each tab that is opened ends in a new token at once. */
describe('a sign-in whose tokens are of no use', () => {
  let issuer: ScriptedIssuer
  let target: ProtectedTarget
  let env: Record<string, string>
  let browser: ReturnType<typeof createBrowser>
  let granted = 0
  const started: BridgeProcess[] = []

  beforeEach(async () => {
    issuer = await startScriptedIssuer()
    target = await startProtectedTarget(issuer.issuer)
    browser = createBrowser(true)
    env = { MCP_DESCOPE_HOME: createHome(), BROWSER: browser.path }
  })
  afterEach(async () => {
    for (const bridge of started.splice(0)) bridge.child.kill('SIGKILL')
    await Promise.all([target.close(), issuer.close()])
  })

  const start = async () => {
    const bridge = startBridge(target.url, { args: ['--login-wait', '2'], env })
    started.push(bridge)
    await bridge.handshake()
    return bridge
  }
  const grant = (more: JsonObject) => {
    issuer.token = ({ form }) => {
      if (form['grant_type'] === 'refresh_token') {
        return { status: 400, body: { error: 'invalid_grant' } }
      }
      granted += 1
      return {
        status: 200,
        body: { access_token: `opaque-${granted}`, token_type: 'Bearer', ...more },
      }
    }
  }
  /** So many calls, with so many starts of the bridge in between. */
  const useMuch = async () => {
    for (let starts = 0; starts < 3; starts++) {
      const bridge = await start()
      for (let calls = 0; calls < 4; calls++) {
        expect(textOf(await bridge.call('echo', { n: calls }))).not.toBe('')
      }
      await bridge.end()
    }
  }

  it.each([
    { what: 'expire at once', more: { expires_in: 0 } },
    { what: 'expired before', more: { expires_in: -60 } },
    { what: 'live a second', more: { expires_in: 1 } },
    { what: 'live for an hour', more: { expires_in: 3_600 } },
    { what: 'do not say how long they live', more: {} },
    {
      what: 'have a refresh token that is refused',
      more: { expires_in: 3_600, refresh_token: 'r' },
    },
  ])(
    'opens one tab, and every call is answered, where tokens are refused that $what',
    async ({ more }) => {
      grant(more)
      target.guard = (_request, _token, refuse) => {
        refuse()
        return true
      }
      await useMuch()
      expect(browser.urls()).toHaveLength(1)
    },
    60_000,
  )

  it('opens three tabs at most where each token is taken once and then refused', async () => {
    grant({ expires_in: 3_600 })
    const seen = new Set<string>()
    target.guard = ({ message }, token, refuse) => {
      const isCall = (message as JsonObject | undefined)?.['method'] === 'tools/call'
      if (!isCall || !seen.has(token)) {
        if (isCall) seen.add(token)
        return false
      }
      refuse()
      return true
    }
    await useMuch()
    expect(browser.urls().length).toBeGreaterThan(1)
    expect(browser.urls().length).toBeLessThanOrEqual(3)
  }, 60_000)
})
