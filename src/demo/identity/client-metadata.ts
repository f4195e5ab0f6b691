import { request } from 'undici'
import { isObject, stringMember, stringsMember, tryParseJson } from '../../util/json.js'
import { isLoopback } from '../../util/private-addresses.js'
import type { Client } from './records.js'
import { EmulatorRefusal, refusal } from './refusals.js'

/** Largest metadata document, bytes. */
const DOCUMENT_LIMIT = 16_384

const TIMEOUT_MS = 5_000

/** Schemes that run scripts, show documents, or mean something else to every program. */
const FOREIGN_SCHEMES: ReadonlySet<string> = new Set([
  ...['javascript:', 'vbscript:', 'livescript:', 'mocha:', 'jscript:', 'data:', 'file:', 'blob:'],
  ...['filesystem:', 'about:', 'view-source:', 'jar:', 'feed:', 'mhtml:', 'mk:', 'res:', 'urn:'],
  ...['ws:', 'wss:', 'ftp:', 'mailto:', 'tel:', 'sms:', 'chrome:', 'resource:', 'cid:', 'mid:'],
])

/** Tells whether a client id is a URL, and so stands for a metadata document. */
export function isMetadataUrl(clientId: string): boolean {
  return /^https?:\/\//.test(clientId)
}

/**
 * Fetches a Client ID Metadata Document: over https, or http on loopback; no redirects; small;
 * within 5 seconds.
 *
 * @throws {EmulatorRefusal} `invalid_metadata`, saying what is wrong with the URL or the document.
 * @see [OAuth Client ID Metadata Document](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-client-id-metadata-document)
 */
export async function fetchClientMetadata(clientId: string): Promise<Client> {
  const problem = urlProblem(clientId)
  if (problem !== undefined) throw refusal('invalid_metadata', `The client id ${problem}`)
  return parseClientMetadata(clientId, await download(clientId))
}

/** Says why a URL cannot be a client id, or returns `undefined` when it can. */
export function urlProblem(clientId: string): string | undefined {
  const url = URL.canParse(clientId) ? new URL(clientId) : undefined
  if (url === undefined) return 'is not a URL'
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    return 'must be an https URL, or http on loopback'
  }
  if (url.username !== '' || url.password !== '') return 'must not hold credentials'
  if (clientId.includes('#')) return 'must not have a fragment'
  if (url.pathname === '/') return 'must have a path'
  if (url.href !== clientId) return 'must be written in its normal form'
  return undefined
}

/**
 * Checks a metadata document.
 *
 * @throws {EmulatorRefusal} `invalid_metadata`
 */
export function parseClientMetadata(clientId: string, text: string): Client {
  const document = tryParseJson(text)
  const wrong = (what: string) => refusal('invalid_metadata', `The client metadata ${what}`)
  if (!isObject(document)) throw wrong('is not a JSON object')
  if (stringMember(document, 'client_id') !== clientId) {
    throw wrong('names another "client_id" than its own URL')
  }
  if ((stringMember(document, 'token_endpoint_auth_method') ?? 'none') !== 'none') {
    throw wrong('must have the "token_endpoint_auth_method" "none"')
  }
  if ('client_secret' in document) throw wrong('must not hold a "client_secret"')
  const redirectUris = stringsMember(document, 'redirect_uris')
  if (redirectUris.length === 0) throw wrong('has no "redirect_uris"')
  for (const uri of redirectUris) {
    const problem = redirectUriProblem(uri)
    if (problem !== undefined) throw wrong(`has a redirect URI that ${problem}`)
  }
  return {
    clientId,
    clientSecret: undefined,
    name: stringMember(document, 'client_name') ?? clientId,
    redirectUris,
    policy: true,
    machine: false,
    device: true,
  }
}

/**
 * Says why a redirect URI cannot be registered, or returns `undefined` when it can.
 *
 * @param applicationType `native` and `web` as in OpenID Connect; without it, either form passes.
 * @see [OpenID Connect Dynamic Client Registration §2](https://openid.net/specs/openid-connect-registration-1_0.html#ClientMetadata)
 */
export function redirectUriProblem(uri: string, applicationType?: string): string | undefined {
  if (!URL.canParse(uri) || /[^\x21-\x7e]/.test(uri)) return 'is not an absolute URI'
  if (uri.includes('#')) return 'has a fragment'
  const { protocol, hostname } = new URL(uri)
  if (FOREIGN_SCHEMES.has(protocol)) return 'has a scheme that is not allowed'
  if (applicationType === 'web' && (protocol !== 'https:' || isLoopback(hostname))) {
    return 'is not https on a public host, as the application type "web" needs'
  }
  if (protocol === 'http:' && !isLoopback(hostname)) return 'is http and not on loopback'
  return undefined
}

async function download(url: string): Promise<string> {
  const wrong = (why: string) => refusal('invalid_metadata', `The client metadata ${why}`)
  try {
    const { statusCode, body } = await request(url, {
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    let text = ''
    for await (const chunk of body.setEncoding('utf8')) {
      text += chunk
      if (text.length > DOCUMENT_LIMIT) throw wrong('is too large')
    }
    if (statusCode !== 200) throw wrong(`was answered with ${statusCode}`)
    return text
  } catch (error) {
    if (error instanceof EmulatorRefusal) throw error
    throw wrong('could not be fetched')
  }
}
