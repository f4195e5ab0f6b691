import { escapeHtml, PAGE_STYLE, pageHtml, pagePolicy, richText } from '../util/page.js'
import { PRODUCT } from '../util/version.js'

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

/** Makes the offers for the URL of an endpoint, and for the one target behind it. */
export type MakeOffers = (resource: string, target?: string) => readonly LandingOffer[]

export interface LandingOptions {
  /** The public URL of the front page; that of the endpoint will do. */
  front?: string
  /** The URL of the endpoint; `undefined` where there are several and none is meant. */
  resource: string | undefined
  /** The target whose page it is. */
  title?: string | undefined
  targets: readonly string[]
  /** The endpoints of single targets, each with its own page. */
  endpoints?: readonly { target: string; resource: string; page: string | undefined }[]
  offers: readonly LandingOffer[]
  /** Whether callers sign in at all. */
  signsIn: boolean
}

/** Renders the page for people who open the server in a browser: what it is and how to connect. */
export function renderLanding(options: LandingOptions) {
  const { resource, targets, offers, signsIn, endpoints = [] } = options
  const { host } = new URL(options.front ?? resource ?? '')
  const title = `${options.title === undefined ? 'MCP server' : `MCP server ${options.title}`} at ${host}`
  const links = offers.filter(({ link }) => link !== undefined)
  const main = `<h1>${escapeHtml(title)}</h1>
<p class="lead">Give ${resource === undefined ? 'one of these URLs' : 'this URL'} to your AI assistant. ${
    signsIn
      ? 'When it connects, your browser opens and you sign in with Descope.'
      : 'It answers without a sign-in, on this machine only.'
  }</p>
${resource === undefined ? '' : `<div class="url">${copyBox('the URL', resource)}</div>`}
${links.length > 0 ? `<ul class="actions">${links.map(linkItem).join('')}</ul>` : ''}
${offers.length > 0 ? `<h2>Step by step</h2>\n<div class="hosts">\n${offers.map(renderOffer).join('\n')}\n</div>` : ''}
${endpoints.length > 0 ? `<h2>${resource === undefined ? 'The servers' : 'Each server by itself'}</h2>\n${endpoints.map(renderEndpoint).join('\n')}` : ''}
${resource === undefined || targets.length === 0 ? '' : `<h2>Behind it</h2>\n<ul class="targets">${targets.map((target) => `<li>${codeOf(target)}</li>`).join('')}</ul>`}
${signsIn ? '<p class="dim">Your token stays here: none of these servers gets it.</p>' : ''}
<p id="said" class="away" role="status"></p>
<p class="dim">Served by ${PRODUCT}.</p>`
  const html = pageHtml({ title, style: STYLE, script: SCRIPT, main })
  return { html, headers: PAGE_HEADERS }
}

function renderEndpoint(endpoint: NonNullable<LandingOptions['endpoints']>[number]): string {
  const { target, resource, page } = endpoint
  const link = page === undefined ? '' : ` · <a href="${escapeHtml(page)}">how to connect</a>`
  return `<p>${codeOf(target)}${link}</p>\n${copyBox(`the URL of ${target}`, resource)}`
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

const STYLE = `${PAGE_STYLE}h2{font-size:1.15rem;letter-spacing:-.01em;margin:2.5rem 0 .75rem}
.lead{font-size:1.08rem;color:var(--dim);margin:0 0 1.5rem}
.copy{position:relative;margin:.5rem 0 1rem}
pre{margin:0;background:var(--well);border:1px solid var(--line);border-radius:10px;padding:.8rem 1rem;white-space:pre-wrap;overflow-wrap:anywhere}
.url pre{padding:1rem 1.15rem;background:var(--card)}
.url code{font-size:1.05rem;font-weight:600}
.files{margin:.5rem 0;padding:0;list-style:none;color:var(--dim);font-size:.92rem}
.can-copy pre{padding-right:5.5rem}
button{position:absolute;top:.5rem;right:.5rem;font:600 .82rem/1 system-ui,sans-serif;color:var(--ink);background:var(--card);border:1px solid var(--line);border-radius:7px;padding:.5rem .75rem;min-height:2rem;cursor:pointer}
.url button{top:50%;transform:translateY(-50%)}
button:hover{border-color:var(--accent)}
.actions{display:flex;flex-wrap:wrap;gap:.6rem;margin:1rem 0 0;padding:0;list-style:none}
.button{display:inline-block;background:var(--accent);color:var(--on);font-weight:600;text-decoration:none;border-radius:9px;padding:.6rem 1.05rem}
.button:hover{text-decoration:underline}
.hosts{background:var(--card);border:1px solid var(--line);border-radius:14px;overflow:hidden}
details+details{border-top:1px solid var(--line)}
summary{display:flex;align-items:center;gap:.75rem;padding:.95rem 1.15rem;font-weight:600;cursor:pointer;list-style:none}
summary::-webkit-details-marker{display:none}
summary::before{content:"";width:.5rem;height:.5rem;border:solid var(--dim);border-width:0 2px 2px 0;transform:rotate(-45deg);flex:none}
[open]>summary::before{transform:rotate(45deg)}
summary:hover{background:var(--well)}
summary span{margin-left:auto;font-weight:400;color:var(--dim);font-size:.9rem}
.how{padding:0 1.15rem .8rem}
.targets{display:flex;flex-wrap:wrap;gap:.5rem;margin:0;padding:0;list-style:none}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
summary:focus-visible{outline-offset:-3px;border-radius:14px}
.away{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
@media(max-width:30rem){main{padding-top:2rem}summary span{display:none}.how .can-copy pre{padding:3rem 1rem .8rem}}
`

/** Adds the buttons that need a script, and only where the browser lets a page copy. */
const SCRIPT = `
if(navigator.clipboard)for(const box of document.querySelectorAll('.copy')){
const text=box.querySelector('code').textContent,button=document.createElement('button'),said=document.getElementById('said')
button.type='button';button.textContent='Copy';button.setAttribute('aria-label','Copy '+box.dataset.what)
button.addEventListener('click',async()=>{
try{await navigator.clipboard.writeText(text);button.textContent='Copied';said.textContent='Copied '+box.dataset.what}
catch{button.textContent='Not allowed';said.textContent='The browser does not let this page copy'}
setTimeout(()=>{button.textContent='Copy';said.textContent=''},2500)})
box.classList.add('can-copy');box.append(button)}
`

/** Headers of the page: its own style, script and icon are let through by hash, and nothing else. */
const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-cache',
  'content-security-policy': pagePolicy(STYLE, SCRIPT),
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
} as const
