import { describe, expect, it } from 'vitest'
import { createTabQuota, isOpenable, openBrowser } from '../../../src/sign-in/browser.js'
import { createManualClock, createTestRuntime } from '../../helpers/runtime.js'
import { privateFolder } from '../../helpers/sign-in.js'

describe('openBrowser', () => {
  const opened = async (
    platform: NodeJS.Platform,
    env: Record<string, string>,
    url: string,
    isWsl = false,
  ) => {
    const launched: string[][] = []
    const launch = async (command: string, args: readonly string[]) => {
      launched.push([command, ...args])
      return command === 'xdg-open' || launched.length > 2
    }
    const runtime = createTestRuntime({ platform, env, system: { launch } })
    await openBrowser(runtime, url, isWsl)
    return launched
  }
  const URL_ = "https://as.example/authorize?a=1&b='x'%0a"

  it('[bridge-browser-launch] prefers $BROWSER, with the URL as its one argument', async () => {
    expect((await opened('linux', { BROWSER: '/my browser' }, URL_))[0]).toEqual([
      '/my browser',
      URL_,
    ])
  })

  it('[bridge-browser-launch] uses the opener of each platform', async () => {
    expect((await opened('darwin', {}, URL_))[0]).toEqual(['/usr/bin/open', URL_])
    expect((await opened('win32', {}, URL_))[0]).toEqual([
      'rundll32',
      'url.dll,FileProtocolHandler',
      URL_,
    ])
    expect(await opened('linux', {}, URL_)).toEqual([['xdg-open', URL_]])
  })

  it('[bridge-browser-launch] goes from wslview to PowerShell, with the command encoded', async () => {
    const [first, second] = await opened('linux', {}, URL_, true)
    expect(first?.[0]).toBe('wslview')
    expect(second?.[0]).toBe('powershell.exe')
    const command = Buffer.from(second?.at(-1) ?? '', 'base64').toString('utf16le')
    expect(command).toBe("Start-Process 'https://as.example/authorize?a=1&b=''x''%0a'")
  })

  it.each([
    'file:///etc/passwd',
    'javascript:alert(1)',
    '--help',
    'https://x/\u0007',
    'https://x/ y',
    'https://u:p@x/',
    'cmd:/x',
  ])('[bridge-browser-launch] does not open %j', async (url) => {
    expect(isOpenable(url)).toBe(false)
    expect(await opened('linux', {}, url)).toEqual([])
  })
})

describe('the budget of tabs', () => {
  const MINUTE = 60_000
  it('[bridge-tab-budget] gives one tab in 10 minutes and three in a day, over restarts', async () => {
    const clock = createManualClock()
    const folder = privateFolder()
    const take = () => createTabQuota(folder, 'key', clock.now).takeTab()
    const taken: boolean[] = []
    for (const pause of [0, 1, 8, 2, 5, 20, 20, 60]) {
      await clock.advance(pause * MINUTE)
      taken.push(await take())
    }
    expect(taken).toEqual([true, false, false, true, false, true, false, false])
    await clock.advance(24 * 60 * MINUTE)
    expect(await take()).toBe(true)
  })

  it('[bridge-tab-budget] is full again when somebody signed in', async () => {
    const clock = createManualClock()
    const budget = createTabQuota(privateFolder(), 'key', clock.now)
    await budget.takeTab()
    expect(await budget.takeTab()).toBe(false)
    await budget.reset()
    expect(await budget.takeTab()).toBe(true)
  })

  it('is not blocked by a clock that was set back', async () => {
    const folder = privateFolder()
    const ahead = createManualClock()
    await ahead.advance(1_000 * MINUTE)
    await createTabQuota(folder, 'key', ahead.now).takeTab()
    expect(await createTabQuota(folder, 'key', createManualClock().now).takeTab()).toBe(true)
  })

  it('[bridge-step-up] gives one step-up in 10 minutes to each set of scopes', async () => {
    const clock = createManualClock()
    const budget = createTabQuota(privateFolder(), 'key', clock.now)
    expect(await budget.takeStepUp(['a', 'b'])).toBe(true)
    expect(await budget.takeStepUp(['b', 'a'])).toBe(false)
    expect(await budget.takeStepUp(['c'])).toBe(true)
    await clock.advance(10 * MINUTE)
    expect(await budget.takeStepUp(['a', 'b'])).toBe(true)
  })
})
