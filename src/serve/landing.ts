import { createHash } from 'node:crypto'
import { PRODUCT } from '../util/version.js'

export interface LandingOptions {
  /** The public MCP URL. */
  resource: string
  targets: readonly string[]
}

const STYLE = `
:root{color-scheme:light dark;--line:#8884}
body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}
code,pre{font:14px/1.5 ui-monospace,monospace}
pre{border:1px solid var(--line);border-radius:6px;padding:.75rem;overflow-x:auto}
a.button{display:inline-block;border:1px solid var(--line);border-radius:6px;padding:.4rem .8rem;
margin:0 .5rem .5rem 0;text-decoration:none}
`

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64')

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-cache',
  'content-security-policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const

/** Renders the page for people who open the server in a browser: what it is and how to connect. */
export function renderLanding({ resource, targets }: LandingOptions) {
  const name = serverName(new URL(resource).hostname)
  const config = JSON.stringify({ name, type: 'http', url: resource })
  const cursor = Buffer.from(JSON.stringify({ url: resource })).toString('base64')
  const vscodeLink = `vscode:mcp/install?${encodeURIComponent(config)}`
  const cursorLink = `cursor://anysphere.cursor-deeplink/mcp/install?name=${encodeURIComponent(name)}&config=${encodeURIComponent(cursor)}`
  const args = ['-y', PRODUCT, 'stdio', resource]
  const desktop = JSON.stringify({ mcpServers: { [name]: { command: 'npx', args } } }, null, 2)
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>MCP server</title><style>${STYLE}</style></head><body><main>
<h1>This is an MCP server</h1>
<p>Add its URL to your AI assistant. You sign in with Descope when it connects.</p>
<pre><code>${escapeHtml(resource)}</code></pre>
<p>Behind it: ${targets.map((target) => `<code>${escapeHtml(target)}</code>`).join(', ')}</p>
<h2>Install</h2>
<p><a class="button" href="${escapeHtml(vscodeLink)}">Add to VS Code</a>
<a class="button" href="${escapeHtml(cursorLink)}">Add to Cursor</a></p>
<h2>Claude</h2>
<p>Settings → Connectors → Add custom connector, with the URL above. In Claude Code:</p>
<pre><code>claude mcp add --transport http ${escapeHtml(name)} ${escapeHtml(resource)}</code></pre>
<h2>Programs that only start local servers</h2>
<pre><code>${escapeHtml(desktop)}</code></pre>
</main></body></html>
`
  return { html, headers: HEADERS }
}

function serverName(hostname: string): string {
  return hostname.replace(/[^a-z0-9-]+/gi, '-').replace(/^-+|-+$/g, '') || 'mcp'
}

function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
