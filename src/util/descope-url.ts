import { messageOf, ProxyError } from './errors.js'
import { isLoopback, parseHttpUrl } from './private-addresses.js'
import { trimSlashes } from './text.js'

/** What a `DESCOPE_CONFIG_URL` stands for. */
export interface DescopeProject {
  /** Origin of the Descope API or of the custom domain, without trailing slash. */
  readonly base: string
  readonly projectId: string
  /** The MCP server in Descope; `undefined` when the URL names only a project. */
  readonly serverId: string | undefined
  /** The issuer that the discovery document is expected to name. */
  readonly issuer: string
  /** `openid-configuration` and `oauth-authorization-server`, in this order. */
  readonly discoveryUrls: readonly [string, string]
  readonly jwksFallbackUrl: string
}

/** The id of a project, which is also an issuer that Descope's tokens may name. */
export const PROJECT_ID = /^P[A-Za-z0-9]{27,63}$/

const SERVER_ID = /^[A-Za-z0-9_-]{3,64}$/

const DOCUMENTS = '(openid-configuration|oauth-authorization-server)'

const SUFFIX = new RegExp(`^(.*?)(?<!/)/+\\.well-known/${DOCUMENTS}/*$`)

const INSERTED = new RegExp(`^/+\\.well-known/${DOCUMENTS}(/.*)$`)

const EXAMPLE = 'https://api.descope.com/v1/apps/agentic/<project id>/<MCP server id>'

const COPY_HINT = `Copy the Discovery URL of the MCP server from the Descope console; it looks like ${EXAMPLE}/.well-known/openid-configuration.`

/**
 * Parses any of the URLs under which Descope describes an MCP server or a project: agentic or
 * project form, with or without either well-known suffix, or path-inserted.
 *
 * @throws {ProxyError} `CONFIG_INVALID` that says what is wrong with the URL.
 *
 * @see [RFC 8414 §3](https://www.rfc-editor.org/rfc/rfc8414#section-3) Path-inserted well-known URLs
 */
export function parseConfigUrl(text: string): DescopeProject {
  const url = checkedUrl(text.trim())
  const { projectId, serverId, path } = readPath(identityPath(url.pathname))
  const base = url.origin
  const issuer = `${base}${path}`
  return {
    base,
    projectId,
    serverId,
    issuer,
    discoveryUrls: [
      `${issuer}/.well-known/openid-configuration`,
      `${issuer}/.well-known/oauth-authorization-server`,
    ],
    jwksFallbackUrl: `${base}/${projectId}/.well-known/jwks.json`,
  }
}

function checkedUrl(text: string): URL {
  if (PROJECT_ID.test(text)) throw invalid('is a project id, not a URL')
  const url = parseHttpUrl(text)
  if (!url) throw invalid('is not an https URL without credentials and fragment')
  if (url.search !== '' || text.includes('?')) throw invalid('has a query')
  if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
    throw invalid(`does not use https (${url.host})`, 'Write https:// instead of http://.')
  }
  return url
}

/** Removes either well-known part and trailing slashes. */
function identityPath(pathname: string): string {
  const path = INSERTED.exec(pathname)?.[2] ?? SUFFIX.exec(pathname)?.[1] ?? pathname
  return trimSlashes(path)
}

function readPath(path: string) {
  const segments = path.split('/').slice(1)
  const apps = segments[0] === 'v1' && segments[1] === 'apps'
  const agentic = apps && segments[2] === 'agentic'
  if (agentic && segments.length === 4) throw invalid('names a project but no MCP server')
  const ids = segments.slice(agentic ? 3 : apps ? 2 : 0)
  const [projectId = '', serverId] = ids
  if (ids.length === 0 || projectId === '') throw invalid('has no project id in its path')
  if (!PROJECT_ID.test(projectId)) {
    const found = JSON.stringify(projectId.slice(0, 40))
    const place = 'where the project id belongs ("P" and at least 27 letters and digits)'
    throw invalid(`has ${found} ${place}`)
  }
  if (ids.length > (agentic ? 2 : 1)) {
    if (agentic) throw invalid('has a longer path than an MCP server')
    throw invalid('names an application, not an MCP server')
  }
  if (agentic && !SERVER_ID.test(serverId ?? '')) throw invalid('has a malformed MCP server id')
  return { projectId, serverId, path }
}

/** Says what is wrong with such a URL, as the end of a sentence; `undefined` when nothing is. */
export function configUrlProblem(text: string): string | undefined {
  try {
    parseConfigUrl(text)
    return undefined
  } catch (error) {
    return messageOf(error).slice(SUBJECT.length + 1)
  }
}

const SUBJECT = 'The Descope configuration URL'

function invalid(what: string, hint = COPY_HINT): ProxyError {
  return new ProxyError('CONFIG_INVALID', `${SUBJECT} ${what}`, { hint })
}
