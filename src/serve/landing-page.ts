import { escapeHtml, ICON_URL, richText } from '../util/page.js'
import { PRODUCT } from '../util/version.js'
import { PAGE_HEADERS, SCRIPT, STYLE } from './landing-assets.js'

/** How people connect one assistant: what `add` knows of it. */
export interface LandingOffer {
  readonly id: string
  readonly title: string
  readonly steps: string | undefined
  readonly link: string | undefined
  readonly command: string | undefined
  readonly snippet: string
  readonly files: readonly { readonly systems: string; readonly path: string }[]
  readonly add: string
  readonly afterwards: string
}

/** Makes the offers for a public MCP URL. */
export type MakeOffers = (resource: string) => readonly LandingOffer[]

export interface LandingOptions {
  /** The public MCP URL. */
  resource: string
  targets: readonly string[]
  offers: readonly LandingOffer[]
  /** Whether callers sign in at all. */
  signsIn: boolean
}

/** Renders the page for people who open the server in a browser: what it is and how to connect. */
export function renderLanding({ resource, targets, offers, signsIn }: LandingOptions) {
  const { host } = new URL(resource)
  const links = offers.filter(({ link }) => link !== undefined)
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<title>MCP server at ${escapeHtml(host)}</title>
<link rel="icon" href="${ICON_URL}">
<style>${STYLE}</style></head><body><main>
<h1>MCP server at ${escapeHtml(host)}</h1>
<p class="lead">Give this URL to your AI assistant. ${
    signsIn
      ? 'When it connects, your browser opens and you sign in with Descope.'
      : 'It answers without a sign-in, on this machine only.'
  }</p>
<div class="url">${copyBox('the URL', resource)}</div>
${links.length > 0 ? `<ul class="actions">${links.map(linkItem).join('')}</ul>` : ''}
${offers.length > 0 ? `<h2>Step by step</h2>\n<div class="hosts">\n${offers.map(renderOffer).join('\n')}\n</div>` : ''}
<h2>Behind it</h2>
<ul class="targets">${targets.map((target) => `<li>${codeOf(target)}</li>`).join('')}</ul>
${signsIn ? '<p class="dim">Your token stays here: none of these servers gets it.</p>' : ''}
<p id="said" class="away" role="status"></p>
<p class="dim">Served by ${PRODUCT}.</p>
</main><script>${SCRIPT}</script></body></html>
`
  return { html, headers: PAGE_HEADERS }
}

function renderOffer(offer: LandingOffer, index: number): string {
  const { title, steps, link, command, snippet, files, add, afterwards } = offer
  const ways = [
    steps === undefined ? '' : `<p>${richText(steps)}</p>`,
    link === undefined ? '' : `<ul class="actions">${linkItem(offer)}</ul>`,
    command === undefined ? '' : copyBox(`the command for ${title}`, command),
    `<p>${steps || link || command ? 'Or run' : 'Run'} this in a terminal, with Node 20 or newer:</p>
${copyBox(`the command that configures ${title}`, add)}`,
    command === undefined
      ? `<p>Or put this into its file:</p>
<ul class="files">${files.map(({ systems, path }) => `<li>${systems}: ${codeOf(path)}</li>`).join('')}</ul>
${copyBox(`the configuration for ${title}`, snippet)}`
      : '',
    `<p class="dim">${richText(afterwards)}</p>`,
  ]
  const kind = link ? 'one click' : steps ? 'connector' : 'one command'
  return `<details name="host"${index === 0 ? ' open' : ''}><summary>${escapeHtml(title)}<span>${kind}</span></summary>
<div class="how">${ways.filter((way) => way !== '').join('\n')}</div></details>`
}

function linkItem({ title, link }: LandingOffer): string {
  return `<li><a class="button" href="${escapeHtml(link ?? '')}">Add to ${escapeHtml(title)}</a></li>`
}

function copyBox(what: string, text: string): string {
  return `<div class="copy" data-what="${escapeHtml(what)}"><pre><code>${escapeHtml(text)}</code></pre></div>`
}

const codeOf = (text: string) => `<code>${escapeHtml(text)}</code>`
