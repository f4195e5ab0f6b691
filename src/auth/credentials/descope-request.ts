import { ProxyError } from '../../util/errors.js'
import { isTransient } from '../../util/failure.js'
import { isObject, type JsonObject, stringMember, tryParseJson } from '../../util/json.js'
import type { Runtime } from '../../util/runtime.js'
import { type FetchedText, requestReply } from '../fetch-json.js'
import { describeOAuthError } from '../oauth/failure.js'

/** A request to Descope's management API. */
export interface DescopeRequest {
  readonly url: string
  /** Project id and key, or token: `P…:…`. */
  readonly bearer: string
  readonly body: JsonObject
  /** What is requested, for people: the end of "Descope answered 403 for …". */
  readonly what: string
  /** What to look at in the console, by the status of the refusal. */
  readonly hints: Readonly<Record<number, string>>
  /** The same where no status says it. */
  readonly hint: string
}

/**
 * Sends a request to Descope and returns its answer.
 *
 * @throws {ProxyError} `CREDENTIAL_REFUSED` for any refusal, `ISSUER_UNREACHABLE` when it may work
 *   later; either way with a hint that names the setting in the console. The status is in `status`.
 */
export async function askDescope(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  request: DescopeRequest,
): Promise<JsonObject> {
  const reply = await requestReply(runtime, request.url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${request.bearer}`,
      'content-type': 'application/json',
      accept: 'application/json',
    },
    body: JSON.stringify(request.body),
  }).catch((error: unknown) => {
    if (!(error instanceof ProxyError)) throw error
    const message = `${error.message}, asked for ${request.what}`
    throw new ProxyError(error.code, message, { hint: laterHint(request), cause: error })
  })
  const { status, text } = reply
  const body = text === undefined ? undefined : tryParseJson(text)
  if (status >= 200 && status < 300 && isObject(body)) return body
  throw new DescopeRefusedError(request, reply, describeOAuthError(body))
}

/** Descope refused the request. */
export class DescopeRefusedError extends ProxyError {
  readonly status: number

  /** @param said Descope's own words, quoted; '' when it said nothing that can be read. */
  constructor(request: DescopeRequest, { status, text }: FetchedText, said: string) {
    const isPassing = isTransient(status)
    super(
      isPassing ? 'ISSUER_UNREACHABLE' : 'CREDENTIAL_REFUSED',
      `Descope answered ${status} for ${request.what}${said ? `: ${said}` : unsaid(status, text)}`,
      { hint: isPassing ? laterHint(request) : (request.hints[status] ?? request.hint) },
    )
    this.status = status
  }
}

function unsaid(status: number, text: string | undefined): string {
  if (text === undefined) return ', with more than is read'
  if (status >= 300 && status < 400) return ', a redirect, which is not followed'
  return status < 300 ? ', with a body that cannot be read' : ''
}

function laterHint({ hint }: DescopeRequest): string {
  return `Try again later; if it stays so, see https://www.descopestatus.com. ${hint}`
}

/** Characters of a link: authorization URLs with many scopes are long. */
const MAX_LINK = 8_192

interface ConnectLinkRequest {
  readonly url: string
  /** Project id and the caller's own access token: a management key cannot connect anybody. */
  readonly bearer: string
  readonly app: string
  readonly scopes: readonly string[] | undefined
  /** The tenant for which the user connects. */
  readonly tenantId: string | undefined
}

/**
 * Requests from Descope the page at which the caller connects. Nothing of it is kept: it is for this caller
 * and for one use.
 *
 * @throws {ProxyError} With what to look at in the console.
 * @see [Descope: connect outbound app](https://docs.descope.com/api/management/outbound-apps/connect-outbound-app)
 */
export async function requestConnectLink(
  runtime: Pick<Runtime, 'fetch' | 'clock'>,
  { url, bearer, app, scopes, tenantId }: ConnectLinkRequest,
): Promise<string> {
  const name = JSON.stringify(app)
  const hint = `Check the connection ${name} in the Descope console (Connections).`
  const answer = await askDescope(runtime, {
    url,
    bearer,
    body: {
      appId: app,
      ...(tenantId !== undefined && { tenantId }),
      options: { ...(scopes !== undefined && { scopes }) },
    },
    what: `the link to connect ${name}`,
    hint,
    hints: {
      401: `Sign in again; if it stays so, check that the connection ${name} is in the project of DESCOPE_CONFIG_URL in the Descope console (Connections).`,
      403: `Allow it in the Descope console (Policies): a Policy by which users of this client may connect with ${name}.`,
      404: `Check "app" of this target: it must be the id of a connection in the Descope console (Connections).`,
    },
  })
  const link = webUrl(stringMember(answer, 'url'))
  if (link !== undefined) return link
  const what = `Descope's answer for the link to connect ${name} holds no http(s) URL of at most ${MAX_LINK} characters`
  throw new ProxyError('CREDENTIAL_REFUSED', what, { hint })
}

/** Narrows a link to what may be shown to people: http(s), without user name and password. */
function webUrl(text: string | undefined): string | undefined {
  if (text === undefined || text.length > MAX_LINK || !URL.canParse(text)) return undefined
  const { protocol, username, password, href } = new URL(text)
  const isWeb = protocol === 'https:' || protocol === 'http:'
  return isWeb && username === '' && password === '' && href.length <= MAX_LINK ? href : undefined
}
