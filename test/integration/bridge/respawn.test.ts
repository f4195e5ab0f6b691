import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { type BridgeProcess, createHome, startBridge, textOf } from '../../helpers/bridge.js'
import { useBridgeUser } from '../../helpers/bridge-user.js'
import { createFolder } from '../../helpers/folder.js'
import { freePort } from '../../helpers/sign-in.js'

const URL_SHOWN = /http:\S+authorize\?\S+/

describe('a host that starts its bridge again and again while nobody signs in', () => {
  const user = useBridgeUser({ sessions: 'required', visits: false })
  let port: number

  beforeEach(async () => {
    port = await freePort()
  })

  // a port of its own, which no other test takes while nobody listens
  const start = (args: string[] = [], callbackPort = port) => {
    const own = ['--callback-port', String(callbackPort)]
    return user.startBridge([...own, ...args])
  }
  /** Starts a bridge, and resolves with the URL that it shows. */
  const shownBy = async (bridge: BridgeProcess) => {
    await bridge.handshake()
    void bridge.request('tools/list').catch(() => undefined)
    const [url] = await bridge.waitFor('stderr', URL_SHOWN)
    return url
  }
  const kill = async (bridge: BridgeProcess, how: 'stdin' | NodeJS.Signals) => {
    if (how === 'stdin') bridge.child.stdin.end()
    else bridge.child.kill(how)
    await bridge.ended
  }

  it.each([['SIGKILL'], ['stdin'], ['SIGTERM']] as const)(
    '[bridge-resumes-sign-in] [bridge-leaves-nothing] 10 starts ended by %s open one tab, register once, and the last one finishes the sign-in',
    async (how) => {
      const urls: string[] = []
      for (let respawn = 0; respawn < 10; respawn++) {
        const bridge = start()
        urls.push(await shownBy(bridge))
        // the URL is shown before the tab opens; one that is killed in between leaves it to people
        if (respawn === 0) await expect.poll(() => user.browser.urls()).toHaveLength(1)
        await kill(bridge, how)
      }
      const last = start()
      urls.push(await shownBy(last))
      expect(new Set(urls).size).toBe(1)
      expect(user.browser.urls()).toEqual([urls[0]])
      expect(user.identity.counters.registrations).toBe(1)
      const call = last.call('echo', { text: 'hello' })
      // the tab that the first one opened
      const page = await fetch(user.browser.urls()[0] as string)
      expect(await page.text()).toContain('Signed in')
      expect(textOf(await call)).toContain('hello')
      expect(user.identity.counters).toMatchObject({
        registrations: 1,
        authorizations: 1,
        codes: 1,
      })
      await last.end()
    },
    60_000,
  )

  it('[bridge-resumes-sign-in] keeps what the next one needs where only its owner can read it', async () => {
    const bridge = start()
    await shownBy(bridge)
    await kill(bridge, 'SIGKILL')
    const folder = join(user.home, 'sign-in')
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    const names = readdirSync(folder)
    expect(
      names.some((name) => readFileSync(join(folder, name), 'utf8').includes('verifier')),
    ).toBe(true)
    for (const name of names) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600)
  })

  it('[bridge-hands-over] a sibling takes the sign-in over when the bridge that began it ends', async () => {
    const first = start()
    const url = await shownBy(first)
    const second = start()
    expect(await shownBy(second)).toBe(url)
    const call = second.call('echo', { text: 'hello' })
    await kill(first, 'stdin')
    const page = () =>
      fetch(url).then(
        ({ status }) => status,
        () => 0,
      )
    await expect.poll(page, { timeout: 5_000, interval: 200 }).toBe(200)
    expect(textOf(await call)).toContain('hello')
    expect(user.browser.urls()).toEqual([url])
    await second.end()
  })

  it('[bridge-tab-budget] opens no tab by itself after one that led to nothing, and says what to run', async () => {
    user.identity.set({ approval: 'deny' })
    const first = start(['--login-wait', '5'])
    await first.handshake()
    const declined = first.call('echo')
    const [url] = await first.waitFor('stderr', URL_SHOWN)
    await fetch(url)
    expect(textOf(await declined)).toContain('access_denied')
    await first.end()
    for (let respawn = 0; respawn < 3; respawn++) {
      const next = start(['--login-wait', '0.5'])
      await shownBy(next)
      const call = await next.call('echo')
      expect(call['result']).toMatchObject({ isError: true })
      expect(textOf(call)).toContain('mcp-descope-proxy login')
      await next.waitFor('stderr', /No tab was opened.*mcp-descope-proxy login/)
      await kill(next, 'SIGTERM')
    }
    expect(user.browser.urls()).toHaveLength(1)
  })

  it('[bridge-no-tab] with --no-browser nothing is opened', async () => {
    const bridge = start(['--no-browser'])
    await shownBy(bridge)
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(user.browser.urls()).toEqual([])
    await bridge.end()
  })

  it('[bridge-no-tab] without a display nothing is opened, and the URL is there to be pasted back', async () => {
    const folder = createFolder({ 'xdg-open': `#!/bin/sh\necho "$@" >> "$0.urls"\n` })
    chmodSync(join(folder, 'xdg-open'), 0o700)
    const bridge = startBridge(user.target.url, {
      args: ['--login-wait', '1'],
      env: { MCP_DESCOPE_HOME: createHome(), PATH: `${folder}:${process.env['PATH']}` },
    })
    await bridge.handshake()
    await bridge.call('echo')
    await bridge.waitFor('stderr', URL_SHOWN)
    expect(textOf(await bridge.call('echo'))).toMatch(
      /at http\S+authorize\?\S+, then try again\..* login --paste "<url>"/,
    )
    await bridge.end()
    expect(existsSync(join(folder, 'xdg-open.urls'))).toBe(false)
  })

  it('[bridge-busy-port] a port that the user names is the only one, and is named when it is taken', async () => {
    const thief = createServer()
    await new Promise<void>((resolve) => thief.listen(0, '127.0.0.1', resolve))
    const taken = (thief.address() as AddressInfo).port
    const bridge = start([], taken)
    await bridge.handshake()
    const call = await bridge.call('echo')
    expect(call['result']).toMatchObject({ isError: true })
    const holder = process.platform === 'linux' ? `${taken}: process ${process.pid}, ` : `${taken}`
    expect(textOf(call)).toContain(`No callback port is free (tried ${holder}`)
    await bridge.end()
    thief.close()
    expect(user.browser.urls()).toEqual([])
  })
})
