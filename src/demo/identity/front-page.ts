import { escapeHtml } from '../../util/page.js'
import { issuerUrl } from './documents.js'
import type { IdentityReply } from './http.js'
import { page } from './pages.js'
import type { State } from './state.js'

/** Serves what a person sees who opens the emulator: that it is none of Descope's, and what it offers. */
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
    `<p>It is part of mcp-descope-proxy, and not made or run by Descope. It signs one made-up user in
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
