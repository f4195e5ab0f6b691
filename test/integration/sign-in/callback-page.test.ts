import axe, { type AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { failurePage, successPage } from '../../../src/sign-in/callback-page.js'
import { type CallbackListener, listenForCallback } from '../../../src/sign-in/callback-server.js'
import { CHROMIUM } from '../../helpers/chromium.js'

describe.skipIf(CHROMIUM === undefined)('the callback page in Chromium', () => {
  let browser: Browser
  const open: CallbackListener[] = []
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox'] })
  }, 60_000)
  afterAll(() => browser?.close())
  afterEach(() => {
    for (const listener of open.splice(0)) listener.abort()
  })

  const visit = async (
    page: typeof successPage extends (...args: never[]) => infer T ? T : never,
    options: BrowserContextOptions = {},
  ) => {
    const listener = await listenForCallback([0])
    open.push(listener)
    listener.expect('s', async () => page)
    const context = await browser.newContext(options)
    const tab = await context.newPage()
    const [problems, requests]: [string[], string[]] = [[], []]
    tab.on('console', (message) => problems.push(message.text()))
    tab.on('pageerror', (error) => problems.push(error.message))
    tab.on('request', (request) => requests.push(new URL(request.url()).pathname))
    await tab.goto(`${listener.redirectUri}?code=secret-code&state=s`)
    return { tab, problems, requests, listener }
  }
  const background = (tab: Page) =>
    tab.evaluate('getComputedStyle(document.documentElement).colorScheme')

  it('[bridge-callback-page] names the account and the program to go back to, and forgets the code', async () => {
    const { tab, problems, requests } = await visit(successPage('dana@acme.com', 'Claude Desktop'))
    expect(await tab.textContent('h1')).toBe('Signed in')
    expect(await tab.textContent('body')).toContain('You are signed in as dana@acme.com.')
    expect(await tab.textContent('body')).toContain('return to Claude Desktop')
    expect(tab.url()).not.toContain('secret-code')
    expect(problems).toEqual([])
    expect(requests.filter((path) => path !== '/favicon.ico')).toEqual(['/callback'])
  })

  it('[bridge-callback-page] says the same without scripts', async () => {
    const { tab } = await visit(successPage('dana@acme.com', 'Cursor'), {
      javaScriptEnabled: false,
    })
    expect(await tab.textContent('body')).toContain('return to Cursor')
  })

  it('[bridge-callback-page] shows an error as text', async () => {
    const evil =
      '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
    const { tab, problems } = await visit(failurePage(evil, 'Run `mcp-descope-proxy login`.'))
    expect(await tab.textContent('h1')).toBe('Not signed in')
    expect(await tab.textContent('body')).toContain(evil)
    expect(await tab.title()).not.toBe('owned')
    expect(problems.filter((text) => !text.includes('400'))).toEqual([])
  })

  it('follows dark and light mode', async () => {
    for (const colorScheme of ['dark', 'light'] as const) {
      const { tab } = await visit(successPage(undefined, undefined), { colorScheme })
      expect(await background(tab)).toBe('light dark')
      const ink = await tab.evaluate('getComputedStyle(document.querySelector("h1")).color')
      expect(ink).toBe(colorScheme === 'dark' ? 'rgb(255, 255, 255)' : 'rgb(0, 0, 0)')
    }
  })

  const LONG = 'x'.repeat(300)
  const pages = {
    'a sign-in': successPage('dana@acme.com', 'Claude Desktop', 'mcp.example.com/mcp'),
    'a sign-in of an id': successPage(undefined, undefined, 'mcp.example.com/mcp', 'U2abc'),
    'a failure': failurePage(
      'The sign-in ended with "access_denied"',
      undefined,
      'mcp.example.com',
    ),
    'long names': successPage(LONG, LONG, LONG),
    'a long failure': failurePage(LONG, undefined, LONG, LONG),
  }

  it.each(Object.keys(pages) as (keyof typeof pages)[])(
    'has no barrier for anybody in the page of %s, light, dark and on a phone',
    async (what) => {
      for (const colorScheme of ['light', 'dark'] as const) {
        for (const width of [320, 1_200]) {
          const viewport = { width, height: 700 }
          const { tab } = await visit(pages[what], { colorScheme, viewport, bypassCSP: true })
          await tab.evaluate(axe.source)
          const results = (await tab.evaluate('axe.run()')) as AxeResults
          const found = results.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
          expect(found).toEqual([])
          expect(results.passes.map(({ id }) => id)).toContain('color-contrast')
          expect(await tab.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(
            width,
          )
        }
      }
    },
  )

  it('[bridge-callback-page] frees the port while the tab stays open', async () => {
    const { listener } = await visit(successPage(undefined, undefined))
    await listener.close()
    const again = await listenForCallback([listener.port])
    open.push(again)
    expect(again.port).toBe(listener.port)
  })
})

if (CHROMIUM === undefined) console.warn('skipped: the callback page in Chromium (none installed)')
