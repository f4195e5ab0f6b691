import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { renderLanding } from '../../../src/serve/landing.js'

const RESOURCE = 'https://p.example/mcp'
const page = (targets: string[] = ['docs'], resource = RESOURCE) =>
  renderLanding({ resource, targets })

const unescapeHtml = (text: string) =>
  text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')

describe('the landing page', () => {
  it('shows names of targets as text, whatever is in them', () => {
    const hostile = ['<script>alert(1)</script>', '"><img src=x onerror=y>', '&amp;', "'`$x"]
    const { html } = page(hostile)
    const codes = [...html.matchAll(/<code>([^<]*)<\/code>/g)].map(([, text = '']) =>
      unescapeHtml(text),
    )
    for (const name of hostile) expect(codes).toContain(name)
    const tags = (text: string) => text.match(/<\/?[a-z][^>]*>/g)?.map((tag) => tag.slice(0, 5))
    expect(tags(html)).toEqual(tags(page(['a', 'b', 'c', 'd']).html))
  })

  it('lets its own style through its policy and nothing else', () => {
    const { html, headers } = page()
    const styles = [...html.matchAll(/<style>([\s\S]*?)<\/style>/g)].map(([, style = '']) => style)
    const [hash] = styles.map((style) => createHash('sha256').update(style).digest('base64'))
    expect(styles).toHaveLength(1)
    const policy = headers['content-security-policy'].split('; ')
    expect(policy).toEqual([
      "default-src 'none'",
      `style-src 'sha256-${hash}'`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ])
    expect(html).not.toMatch(/<script|style="|\son\w+=|src=/)
  })

  it('offers links that install the server under its own name', () => {
    const links = [...page().html.matchAll(/href="([^"]*)"/g)].map(([, link = '']) =>
      unescapeHtml(link),
    )
    const [vscode = '', cursor = ''] = links
    expect(JSON.parse(decodeURIComponent(vscode.replace('vscode:mcp/install?', '')))).toEqual({
      name: 'p-example',
      type: 'http',
      url: RESOURCE,
    })
    const config = new URL(cursor).searchParams.get('config') ?? ''
    expect(new URL(cursor).searchParams.get('name')).toBe('p-example')
    expect(JSON.parse(Buffer.from(config, 'base64').toString())).toEqual({ url: RESOURCE })
  })

  it('survives a URL with characters that end a link', () => {
    const resource = 'https://p.example/mcp?a=1&b="x"&c=>>>???'
    const links = [...page(['docs'], resource).html.matchAll(/href="([^"]*)"/g)]
    const cursor = new URL(unescapeHtml(links[1]?.[1] ?? ''))
    const config = Buffer.from(cursor.searchParams.get('config') ?? '', 'base64').toString()
    expect(JSON.parse(config)).toEqual({ url: resource })
  })

  it('has a configuration to copy that is JSON', () => {
    const [, last = ''] = /<pre><code>(\{[\s\S]*?)<\/code>/.exec(page().html) ?? []
    expect(JSON.parse(unescapeHtml(last))).toEqual({
      mcpServers: {
        'p-example': { command: 'npx', args: ['-y', 'mcp-descope-proxy', 'stdio', RESOURCE] },
      },
    })
  })

  it('has a name even for an address', () => {
    expect(page(['docs'], 'http://[::1]:3000/mcp').html).toContain('--transport http 1 ')
    expect(page(['docs'], 'http://[::]:3000/mcp').html).toContain('--transport http mcp ')
  })
})
