import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { connectOffers } from '../../../src/hosts/connect.js'
import { renderLanding } from '../../../src/serve/landing-page.js'

const RESOURCE = 'https://p.example/mcp'

const page = (targets: string[] = ['docs'], resource = RESOURCE, signsIn = true) =>
  renderLanding({ resource, targets, offers: connectOffers(resource), signsIn })

const unescapeHtml = (text: string) =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')

const codesIn = (html: string) =>
  [...html.matchAll(/<code>([^<]*)<\/code>/g)].map(([, text = '']) => unescapeHtml(text))

describe('the landing page', () => {
  it('shows names of targets as text, whatever is in them', () => {
    const hostile = ['<script>alert(1)</script>', '"><img src=x onerror=y>', '&amp;', "'`$x"]
    const { html } = page(hostile)
    for (const name of hostile) expect(codesIn(html)).toContain(name)
    const tags = (text: string) => text.match(/<\/?[a-z][^>]*>/g)?.map((tag) => tag.slice(0, 5))
    expect(tags(html)).toEqual(tags(page(['a', 'b', 'c', 'd']).html))
  })

  it('lets its own style, script and icon through its policy and nothing else', () => {
    const { html, headers } = page()
    const hashOf = (tag: string) => {
      const found = [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, 'g'))]
      expect(found).toHaveLength(1)
      return createHash('sha256')
        .update(found[0]?.[1] ?? '')
        .digest('base64')
    }
    expect(headers['content-security-policy'].split('; ')).toEqual([
      "default-src 'none'",
      `style-src 'sha256-${hashOf('style')}'`,
      `script-src 'sha256-${hashOf('script')}'`,
      'img-src data:',
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ])
    expect(html).not.toMatch(/style="|\son\w+=|src=|href="http/)
  })

  it('shows everything that `add` knows of each assistant', () => {
    const { html } = page()
    for (const offer of connectOffers(RESOURCE)) {
      expect(html).toContain(`<summary>${offer.title}<span>`)
      expect(codesIn(html)).toContain(offer.add)
      const { command, link } = offer
      if (command === undefined) expect(codesIn(html)).toContain(offer.snippet)
      else expect(codesIn(html)).toContain(command)
      if (link !== undefined) expect(unescapeHtml(html)).toContain(`href="${link}"`)
    }
  })

  it('survives a URL with characters that end a link', () => {
    const resource = 'https://p.example/mcp?a=1&b="x"&c=>>>???'
    const links = [...page(['docs'], resource).html.matchAll(/href="(cursor:[^"]*)"/g)]
    expect(links).toHaveLength(2)
    const cursor = new URL(unescapeHtml(links[0]?.[1] ?? ''))
    const config = Buffer.from(cursor.searchParams.get('config') ?? '', 'base64').toString()
    expect(JSON.parse(config)).toEqual({ url: resource })
  })

  it('speaks of a sign-in only where there is one', () => {
    expect(page().html).toContain('sign in with Descope')
    expect(page(['docs'], RESOURCE, false).html).not.toMatch(/Descope<|Descope\.|token/)
  })

  it('names the URL and the targets when there are no offers', () => {
    const { html } = renderLanding({
      resource: RESOURCE,
      targets: ['docs'],
      offers: [],
      signsIn: true,
    })
    expect(codesIn(html)).toEqual([RESOURCE, 'docs'])
  })
})
