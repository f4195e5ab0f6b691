import { createHash } from 'node:crypto'
import { ownMember } from '../util/json.js'

/** What the browser shows after a sign-in. All text is escaped here. */
export interface CallbackPage {
  readonly status: number
  readonly title: string
  readonly lines: readonly string[]
}

const STYLE = `:root{color-scheme:light dark}
body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:20vh auto;padding:0 1.5rem}
h1{font-size:1.5rem}code{overflow-wrap:anywhere}`

/** Takes the code out of the address bar; without scripts, the page says the same. */
const SCRIPT = "history.replaceState(null,'',location.pathname)"

const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Headers of every answer of the callback server: not kept, not framed, nothing loaded. */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'content-security-policy': `default-src 'none'; style-src ${hash(STYLE)}; script-src ${hash(SCRIPT)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  connection: 'close',
} as const

/** Renders a page that needs nothing from anywhere else. */
export function renderPage({ title, lines }: CallbackPage): string {
  const paragraphs = lines.map((line) => `<p>${escapeHtml(line)}</p>`).join('\n')
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>${escapeHtml(title)} · mcp-descope-proxy</title>
<style>${STYLE}</style>
<h1>${escapeHtml(title)}</h1>
${paragraphs}
<script>${SCRIPT}</script>
</html>
`
}

/** The page after a sign-in that worked. */
export function successPage(
  account: string | undefined,
  returnTo: string | undefined,
): CallbackPage {
  const who = account === undefined ? 'You are signed in.' : `You are signed in as ${account}.`
  return {
    status: 200,
    title: 'Signed in',
    lines: [
      who,
      `You can close this tab and return to ${returnTo ?? 'the program you came from'}.`,
    ],
  }
}

/** The page after a sign-in that failed. */
export function failurePage(message: string, hint: string | undefined): CallbackPage {
  return {
    status: 400,
    title: 'Not signed in',
    lines: [message, ...(hint === undefined ? [] : [hint])],
  }
}

function escapeHtml(text: string): string {
  const entities: Record<string, string> = {
    '&': '&amp;',
    '<': '&lt;',
    '>': '&gt;',
    '"': '&quot;',
    "'": '&#39;',
  }
  return text.replace(/[&<>"']/g, (character) => ownMember(entities, character) as string)
}
