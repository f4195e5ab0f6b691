import { escapeHtml } from '../../util/page.js'
import { issuerUrl } from './documents.js'
import type { IdentityReply } from './http.js'
import type { State } from './state.js'

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
}

const STYLE = `body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:4rem auto;padding:0 1rem;
color:#1c1c1e;background:#fff}h1{font-size:1.4rem}code{background:#eee;padding:.1em .3em;word-break:break-all}
button,input{font:inherit;padding:.5rem 1.2rem;margin-right:.5rem}small{color:#666}
@media(prefers-color-scheme:dark){body{color:#eee;background:#1c1c1e}code{background:#333}small{color:#aaa}}`

/** Renders a page. `body` is HTML: whatever comes from outside must have gone through `escapeHtml`. */
export function page(status: number, title: string, body: string): IdentityReply {
  const html = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(title)}</title><style>${STYLE}</style></head>
<body><main><h1>${escapeHtml(title)}</h1>
${body}
<p><small>Descope emulator of mcp-descope-proxy. For tests and demonstrations only.</small></p></main></body></html>
`
  return { status, headers: HEADERS, body: html }
}

/** Renders an error that must not be sent to an unverified redirect URI. */
export function errorPage(status: number, code: string, message: string): IdentityReply {
  return page(
    status,
    'This sign-in request is not valid',
    `<p>${escapeHtml(message)}</p><p>Error <code>${escapeHtml(code)}</code>. ` +
      'Nothing was sent back to the application. You can close this window.</p>',
  )
}

/** Renders the consent page: a button for each user to approve as, one to deny. The form sends `hidden` back. */
export function consentPage(
  client: string,
  users: readonly string[],
  scopes: readonly string[],
  hidden: Readonly<Record<string, string>>,
): IdentityReply {
  const list = scopes.map((scope) => `<li><code>${escapeHtml(scope)}</code></li>`).join('')
  const fields = Object.entries(hidden)
    .map(([name, value]) => `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`)
    .join('')
  const [only = ''] = users
  const who = users.length === 1 ? `You are <b>${escapeHtml(only)}</b>.` : 'Choose who you are.'
  const approve =
    users.length === 1
      ? '<button name="decision" value="approve">Approve</button>'
      : users
          .map((user) => escapeHtml(user))
          .map(
            (user) => `<button name="decision" value="approve:${user}">Approve as ${user}</button>`,
          )
          .join('\n')
  return page(
    200,
    `Allow ${client}?`,
    `<p>${who} The application requests:</p><ul>${list}</ul>
<form method="post">${fields}${approve}
<button name="decision" value="deny">Deny</button></form>`,
  )
}

/** Renders the page that connects a user to an app; `withKey` asks for an API key. */
export function connectPage(
  appId: string,
  user: string,
  scopes: readonly string[],
  withKey: boolean,
): IdentityReply {
  const list = scopes.map((scope) => `<li><code>${escapeHtml(scope)}</code></li>`).join('')
  const key = withKey
    ? '<p><label>API key <input name="api_key" type="password" autocomplete="off" required autofocus></label></p>'
    : ''
  return page(
    200,
    `Connect ${appId}?`,
    `<p>You are <b>${escapeHtml(user)}</b>. Here the third party would ask you to sign in.</p>
${list === '' ? '' : `<ul>${list}</ul>`}
<form method="post">${key}<button name="decision" value="connect">Connect</button>
<button name="decision" value="refuse" formnovalidate>Do not connect</button></form>`,
  )
}

/** Renders the front page: it says that this is not Descope, and lists what the emulator offers. */
export function frontPage(state: State): IdentityReply {
  const { options, projectId, serverId } = state
  const { dcr, cimd, device, dpop, scopes, resourceUrl, user, approval } = options
  const configUrl = `${issuerUrl(state, 'agentic')}/.well-known/openid-configuration`
  const projectUrl = `${issuerUrl(state, 'project')}/.well-known/openid-configuration`
  const onOff = (on: boolean) => (on ? 'on' : 'off')
  const rows: [string, string][] = [
    ['DESCOPE_CONFIG_URL', configUrl],
    ['Discovery of the project', projectUrl],
    ['Keys', `${state.baseUrl}/${projectId}/.well-known/jwks.json`],
    ['Project and MCP server', `${projectId} ${serverId}`],
    ['MCP Server URL', resourceUrl ?? 'not set: any resource is granted'],
    ['Scopes', scopes.join(' ')],
    ['Who signs in', `${user.email} (${APPROVAL[approval]})`],
    ['Registration (DCR)', onOff(dcr)],
    ['Client ID Metadata Documents', onOff(cimd)],
    ['Device flow', onOff(device)],
    ['DPoP', dpop],
  ]
  const list = rows
    .map(
      ([name, value]) => `<dt>${escapeHtml(name)}</dt><dd><code>${escapeHtml(value)}</code></dd>`,
    )
    .join('\n')
  return page(
    200,
    'This is an emulator of Descope',
    `<p>It is part of mcp-descope-proxy, and not made or run by Descope. It signs made-up users in
and keeps no secret safe: whoever reaches this address controls it.</p>
<dl>
${list}
</dl>
<p>It offers authorization with PKCE and pushed requests, refresh, client credentials, access keys,
token exchange, Connections with links to connect, audit events and FGA checks. What is known of
Descope and what the emulator chose is told in the README of mcp-descope-proxy.</p>`,
  )
}

const APPROVAL = {
  auto: 'approves at once',
  deny: 'denies at once',
  page: 'decides on a page',
} as const
