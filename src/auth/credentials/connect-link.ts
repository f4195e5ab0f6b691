import { ProxyError } from '../../util/errors.js'
import { stringMember } from '../../util/json.js'
import type { Runtime } from '../../util/runtime.js'
import { askDescope } from './descope-request.js'

/** Characters of a link: authorization URLs with many scopes are long. */
const MAX_LINK = 8_192

export interface ConnectLinkRequest {
  readonly url: string
  /** Project id and the caller's own access token: a management key cannot connect anybody. */
  readonly bearer: string
  readonly app: string
  readonly scopes: readonly string[] | undefined
  /** The tenant for which the user connects. */
  readonly tenantId: string | undefined
}

/**
 * Asks Descope for the page at which the caller connects. Nothing of it is kept: it is for this caller
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
