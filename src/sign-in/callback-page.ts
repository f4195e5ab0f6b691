import { requestReply } from '../auth/fetch-json.js'
import { type HttpDeps, requireSafeUrl } from '../auth/oauth/http.js'
import { splitScopes } from '../auth/oauth/scopes.js'
import type { AuthorizationServer } from '../auth/oauth/server-metadata.js'
import type { TokenRecord } from '../auth/tokens/token-store.js'
import { accountOf, nameOf, readUnverifiedClaims } from '../auth/verify/claims.js'
import type { ProxyError } from '../util/errors.js'
import { isObject, stringMember, tryParseJson } from '../util/json.js'
import { escapeHtml, PAGE_STYLE, pageHtml, pagePolicy, richText } from '../util/page.js'
import { printable } from '../util/redact.js'
import { cutText } from '../util/text.js'
import { PRODUCT } from '../util/version.js'
import type { Flow } from './flow.js'

/** What the browser shows after a sign-in. All text is escaped when it is rendered. */
export interface CallbackPage {
  readonly status: number
  readonly title: string
  /** Backticks in these mark commands. */
  readonly lines: readonly string[]
  /** Rows of a table below, such as the server and the account. */
  readonly facts?: readonly (readonly [name: string, value: string])[]
}

const STYLE = `${PAGE_STYLE}main{max-width:34rem;padding-top:12vh}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:1.6rem 1.6rem 1.3rem}
.mark{display:flex;align-items:center;justify-content:center;width:2.6rem;height:2.6rem;border-radius:50%;background:var(--accent);color:var(--on);font-size:1.4rem;line-height:1;margin-bottom:1rem}
.bad .mark{background:#b3261e;color:#fff;font-weight:700}@media(prefers-color-scheme:dark){.bad .mark{background:#ffb4ab;color:#3b0907}}
h1{color:#000}@media(prefers-color-scheme:dark){h1{color:#fff}}
p{overflow-wrap:anywhere}p code{-webkit-box-decoration-break:clone;box-decoration-break:clone}
dl{margin:1.1rem 0 .4rem;padding:.9rem 0 0;border-top:1px solid var(--line);display:grid;grid-template-columns:auto 1fr;gap:.35rem 1rem}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
@media(max-width:30rem){main{padding-top:2rem}dl{grid-template-columns:1fr;gap:.1rem}dd{margin-bottom:.5rem}}
`

/** Removes the code from the address bar. The page is the same without scripts. */
const SCRIPT = "history.replaceState(null,'',location.pathname)"

/** Headers of every answer of the callback server: not kept, not framed, nothing loaded. */
export const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'content-security-policy': pagePolicy(STYLE, SCRIPT),
  connection: 'close',
} as const

/** Renders a page that needs nothing from anywhere else. */
export function renderPage({ status, title, lines, facts = [] }: CallbackPage): string {
  const isGood = status < 400
  const paragraphs = lines.map((line) => `<p>${richText(line)}</p>`).join('\n')
  const rows = facts.map(
    ([name, value]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd>`,
  )
  const main = `<div class="card${isGood ? '' : ' bad'}"><div class="mark" aria-hidden="true">${isGood ? '✓' : '!'}</div>
<h1>${escapeHtml(title)}</h1>
${paragraphs}
${rows.length > 0 ? `<dl>${rows.join('')}</dl>` : ''}</div>
<p class="dim">Shown by ${PRODUCT} on this machine.</p>`
  return pageHtml({ title: `${title} · ${PRODUCT}`, style: STYLE, script: SCRIPT, main })
}

/**
 * The page after a sign-in that worked.
 *
 * @param account Name of the person.
 * @param returnTo Name of the program to go back to.
 * @param target Name of the target.
 * @param id The person's id at the server, which is shown without a name.
 */
export function successPage(
  account: string | undefined,
  returnTo: string | undefined,
  target?: string,
  id?: string,
): CallbackPage {
  const place = returnTo ? foreign(returnTo) : 'the program that you came from'
  const who = account ? `You are signed in as ${foreign(account)}.` : 'You are signed in.'
  return {
    status: 200,
    title: 'Signed in',
    lines: [who, `You can close this tab and return to ${place}.`],
    facts: [...factOf('Server', target), ...factOf('Account', account ? undefined : id)],
  }
}

/** The page after a sign-in that failed; without a hint, it says how to try again. */
export function failurePage(
  message: string,
  hint?: string,
  target?: string,
  returnTo?: string,
): CallbackPage {
  const name = returnTo ? ` (${foreign(returnTo)})` : ''
  const next = `Close this tab, go back to the program that you came from${name} and try again there, or run \`mcp-descope-proxy login\` in a terminal.`
  return {
    status: 400,
    title: 'Not signed in',
    lines: [sentence(foreign(message, LONGEST_MESSAGE)), hint || next],
    facts: factOf('Server', target),
  }
}

const LONGEST = 200

const LONGEST_MESSAGE = 1_000

function factOf(name: string, value: string | undefined): [name: string, value: string][] {
  return value ? [[name, foreign(value)]] : []
}

/** Makes foreign text harmless: without backticks, which mark up text, and without control characters. */
function foreign(text: string, most = LONGEST): string {
  return cutText(printable(text.replaceAll('`', "'")), most)
}

const sentence = (text: string) => (/[.!?…]$/.test(text) ? text : `${text}.`)

/** Makes the page with the result of a sign-in. The tokens are stored by then, so it may take its time. */
export async function resultPage(
  { options, target, runtime }: Pick<Flow, 'options' | 'target' | 'runtime'>,
  server: AuthorizationServer,
  outcome: TokenRecord | ProxyError,
): Promise<CallbackPage> {
  const returnTo = options.returnTo()
  if (!('accessToken' in outcome)) {
    return failurePage(outcome.message, outcome.hint, target.name, returnTo)
  }
  const name = await whoSignedIn(runtime, server, outcome)
  return successPage(name, returnTo, target.name, accountOf(outcome.accessToken))
}

/** Short, because the page waits for this. */
const USER_INFO_LIMITS = { timeoutMs: 2_000, maxBytes: 65_536 }

/**
 * Returns the name of the person: from the claims of the token, else from the authorization server's
 * userinfo endpoint, if this token may be used there.
 *
 * @returns `undefined` when neither has one. Never rejects.
 * @see [OpenID Connect Core §5.3](https://openid.net/specs/openid-connect-core-1_0.html#UserInfo)
 */
async function whoSignedIn(
  deps: HttpDeps,
  { issuer, userinfoEndpoint }: AuthorizationServer,
  { accessToken, scope, proofKey }: Pick<TokenRecord, 'accessToken' | 'scope' | 'proofKey'>,
): Promise<string | undefined> {
  const claims = readUnverifiedClaims(accessToken)
  const name = nameOf(claims)
  // a bound token is never sent as Bearer
  if (name !== undefined || userinfoEndpoint === undefined || proofKey !== undefined) return name
  if (!splitScopes(scope).includes('openid')) return undefined
  try {
    const url = requireSafeUrl(deps, userinfoEndpoint, '"userinfo_endpoint"', new URL(issuer))
    const headers = { authorization: `Bearer ${accessToken}`, accept: 'application/json' }
    const { status, text = '' } = await requestReply(deps, url.href, { headers }, USER_INFO_LIMITS)
    const said = status === 200 ? tryParseJson(text) : undefined
    if (!isObject(said)) return undefined
    const subject = stringMember(claims, 'sub')
    const isOther = subject !== undefined && stringMember(said, 'sub') !== subject
    return isOther ? undefined : nameOf(said)
  } catch {
    return undefined
  }
}
