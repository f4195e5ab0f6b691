import { createHash } from 'node:crypto'

/** What all our pages look like. Colours stand first, by name, so that light and dark differ in nothing else. */
export const PAGE_STYLE = `
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--ink:#16181d;--dim:#565d6b;--line:#dfe3ea;--well:#f1f3f7;--accent:#2347c5;--on:#fff}
@media(prefers-color-scheme:dark){:root{--ground:#101218;--card:#191c24;--ink:#eceef3;--dim:#a3abba;--line:#2c313d;--well:#11141b;--accent:#9db4ff;--on:#10131c}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:46rem;margin:0 auto;padding:3.5rem 1.25rem 4rem}
h1{font-size:clamp(1.6rem,5vw,2.1rem);line-height:1.2;letter-spacing:-.02em;margin:0 0 .6rem;overflow-wrap:anywhere}
p{margin:.6rem 0}
.dim{color:var(--dim);font-size:.92rem}
code,pre{font:.88rem/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
p code,li code,dd code{background:var(--well);border:1px solid var(--line);border-radius:5px;padding:.08em .35em;overflow-wrap:anywhere}
`

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="#2347c5"/><path d="M10 15v-3a6 6 0 0 1 12 0v3m-14 0h16v10H8z" fill="none" stroke="#fff" stroke-width="2.5" stroke-linejoin="round"/></svg>'

const ICON_URL = `data:image/svg+xml;base64,${Buffer.from(ICON).toString('base64')}`

const hash = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

/** Lets through a page's own style, script and icon, by hash, and nothing else. */
export function pagePolicy(style: string, script: string): string {
  return [
    "default-src 'none'",
    `style-src ${hash(style)}`,
    `script-src ${hash(script)}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

/**
 * Puts a page together that needs nothing from anywhere else.
 *
 * @param page `title` is text; `main` is HTML, in which foreign text went through `escapeHtml`.
 */
export function pageHtml(page: {
  title: string
  style: string
  script: string
  main: string
}): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>${escapeHtml(page.title)}</title>
<link rel="icon" href="${ICON_URL}">
<style>${page.style}</style></head><body><main>
${page.main}
</main><script>${page.script}</script></body></html>
`
}

/** Makes text that somebody else wrote harmless in an element or an attribute in double quotes. */
export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}

/** Text in which backticks mark what is typed. */
export function richText(text: string): string {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 0 ? escapeHtml(part) : `<code>${escapeHtml(part)}</code>`))
    .join('')
}
