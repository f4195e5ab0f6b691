import { existsSync, mkdirSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startIdentity } from '../../../src/demo/identity/index.js'
import { startBridge, textOf } from '../../helpers/bridge.js'
import { clock } from '../../helpers/stack.js'
import { startProtectedTarget } from '../../helpers/targets/protected.js'

const URL_SHOWN = /http:\S+authorize\?\S+/

it('[bridge-odd-home] signs in once, and keeps it, in a home with a space and a letter beyond ASCII', async () => {
  const identity = await startIdentity({ clock })
  const target = await startProtectedTarget(identity.issuer)
  const home = join(mkdtempSync(join(tmpdir(), 'mcp-')), 'Jürgen Müller')
  const places = { APPDATA: join(home, 'Roaming'), LOCALAPPDATA: join(home, 'Local') }
  for (const path of [home, ...Object.values(places)]) mkdirSync(path)
  const env = { ...places, HOME: home, USERPROFILE: home, MCP_DESCOPE_HOME: '' }
  const start = () => startBridge(target.url, { args: ['--no-browser', '--store', 'file'], env })
  try {
    const first = start()
    await first.handshake()
    const call = first.call('echo', { text: 'hello' })
    const [url] = await first.waitFor('stderr', URL_SHOWN)
    // the person's browser, which comes back to the bridge by itself
    expect((await fetch(url)).status).toBe(200)
    expect(textOf(await call)).toContain('hello')
    await first.end()

    const second = start()
    await second.handshake()
    expect(textOf(await second.call('echo', { text: 'again' }))).toContain('again')
    expect(second.stderr()).not.toMatch(URL_SHOWN)
    expect((await second.end()).status).toBe(0)
    expect(identity.counters.registrations).toBe(1)
    const data = process.platform === 'win32' ? places.LOCALAPPDATA : join(home, '.local')
    expect(existsSync(data)).toBe(true)
  } finally {
    await target.close()
    await identity.close()
  }
})
