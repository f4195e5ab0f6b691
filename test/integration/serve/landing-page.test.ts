import { tmpdir } from 'node:os'
import axe, { type AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CHROMIUM } from '../../helpers/chromium.js'
import { startCli } from '../../helpers/cli.js'

const PHONE = { width: 390, height: 844 }

describe.skipIf(CHROMIUM === undefined)('the landing page in Chromium', () => {
  let browser: Browser
  let url: string
  let demo: ReturnType<typeof startCli>
  beforeAll(async () => {
    demo = startCli(['demo', '--json'], { cwd: tmpdir(), timeoutMs: 120_000 })
    const [, endpoint = ''] = await demo.waitFor(
      'stderr',
      /listens on (http:\S+) url=\S+ part=proxy/,
    )
    url = new URL('/', endpoint).href
    browser = await chromium.launch({ executablePath: CHROMIUM ?? '', args: ['--no-sandbox'] })
  }, 60_000)
  afterAll(async () => {
    demo.child.kill()
    await Promise.all([browser?.close(), demo.ended])
  })

  const visit = async (options: BrowserContextOptions = {}) => {
    const context = await browser.newContext(options)
    const tab = await context.newPage()
    const [problems, requests]: [string[], string[]] = [[], []]
    tab.on('console', (message) => problems.push(message.text()))
    tab.on('pageerror', (error) => problems.push(error.message))
    tab.on('request', (request) => requests.push(request.url()))
    await tab.goto(url)
    return { tab, context, problems, requests }
  }
  const copied = (tab: Page) => tab.evaluate('navigator.clipboard.readText()')

  it('loads nothing else and breaks no rule of its policy', async () => {
    const { problems, requests } = await visit()
    expect(problems).toEqual([])
    expect(requests.filter((request) => !request.startsWith('data:'))).toEqual([url])
  })

  it('copies the URL with one click and says so', async () => {
    const { tab, context } = await visit()
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    await tab.getByRole('button', { name: 'Copy the URL' }).click()
    await expect.poll(() => tab.textContent('#said')).toBe('Copied the URL')
    expect(await copied(tab)).toBe(`${url}mcp`)
  })

  it('is used with the keyboard alone', async () => {
    const { tab, context } = await visit()
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    await tab.keyboard.press('Tab')
    await tab.keyboard.press('Enter')
    await expect.poll(() => copied(tab)).toBe(`${url}mcp`)
    await tab.locator('summary', { hasText: 'Gemini CLI' }).focus()
    await tab.keyboard.press('Enter')
    await tab.keyboard.press('Tab')
    await tab.keyboard.press('Enter')
    await expect
      .poll(() => copied(tab))
      .toMatch(/^npx -y mcp-descope-proxy@\d+ add gemini http:\S+\/mcp --http --write$/)
  })

  it('shows one assistant at a time', async () => {
    const { tab } = await visit()
    for (const title of ['Claude Code', 'Codex']) {
      await tab.locator('summary', { hasText: title }).click()
      expect(await tab.locator('details[open] summary').allTextContents()).toEqual([
        expect.stringContaining(title),
      ])
    }
  })

  it('says everything without scripts, and offers no button that would do nothing', async () => {
    const { tab } = await visit({ javaScriptEnabled: false })
    expect(await tab.locator('button').count()).toBe(0)
    await tab.locator('summary', { hasText: 'Windsurf' }).click()
    expect(await tab.locator('details[open] pre').last().textContent()).toContain('serverUrl')
    expect(await tab.getByRole('link', { name: 'Add to Cursor' }).count()).toBeGreaterThan(0)
  })

  it.each(['light', 'dark'] as const)(
    'has no barrier for anybody in %s mode',
    async (colorScheme) => {
      for (const viewport of [PHONE, { width: 1200, height: 900 }]) {
        const { tab } = await visit({ colorScheme, viewport, bypassCSP: true })
        await tab.evaluate(
          'for (const box of document.querySelectorAll("details")) box.removeAttribute("name"), box.open = true',
        )
        await tab.evaluate(axe.source)
        const results = (await tab.evaluate('axe.run()')) as AxeResults
        const found = results.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)
        expect(found).toEqual([])
        expect(results.passes.map(({ id }) => id)).toContain('color-contrast')
      }
    },
  )

  it('fits a phone without scrolling sideways', async () => {
    const { tab } = await visit({ viewport: { width: 320, height: 640 } })
    for (const summary of await tab.locator('summary').all()) {
      await summary.click()
      expect(await tab.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(320)
    }
  })
})

if (CHROMIUM === undefined) console.warn('skipped: the landing page in Chromium (none installed)')
