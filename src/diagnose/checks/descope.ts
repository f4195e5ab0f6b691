import { parseConfigUrl } from '../../auth/descope/descope.js'
import { type Discovery, discover } from '../../auth/descope/discovery.js'
import { requestReply } from '../../auth/fetch-json.js'
import type { HttpDeps } from '../../auth/oauth/http.js'
import { processKeySet } from '../../auth/verify/jwks.js'
import { type JsonObject, stringMember } from '../../util/json.js'
import { peerUrlProblem } from '../../util/private-addresses.js'
import { type Check, pass, skip, type Verdict, warn } from '../check.js'
import { type ClientWays, checkDevice, checkRegistration } from './registration.js'

/** What is configured of Descope. */
export interface DescopeSettings {
  readonly configUrl: string
  /** Accepted besides the family that `configUrl` stands for. */
  readonly issuers: readonly string[]
}

/**
 * Creates the checks of what Descope says of the server that `serve` would be.
 *
 * @param judgeToken Gets a token for that server and judges it; `undefined` when no client is configured.
 */
export function descopeChecks(
  deps: HttpDeps,
  { configUrl, issuers }: DescopeSettings,
  judgeToken: (() => Promise<Verdict>) | undefined,
): Check[] {
  const project = parseConfigUrl(configUrl)
  let found: Discovery | undefined
  const known = () => {
    if (found === undefined) throw new Error('Discovery comes first')
    return found
  }
  const needs = ['descope.discovery']
  return [
    {
      id: 'descope.discovery',
      needs: [],
      async run() {
        found = await discover(deps, project, issuers)
        return judgeDiscovery(found, project.serverId)
      },
    },
    { id: 'descope.keys', needs, run: () => checkKeys(deps, known()) },
    {
      id: 'descope.registration',
      needs,
      run: async () => checkRegistration(deps, waysOf(known())),
    },
    { id: 'descope.device', needs, run: async () => checkDevice(waysOf(known())) },
    {
      id: 'descope.token',
      needs,
      run: async () => judgeToken?.() ?? skip('no client: set MCP_DESCOPE_CLIENT_ID and _SECRET'),
    },
  ]
}

function judgeDiscovery({ issuer, document }: Discovery, serverId: string | undefined): Verdict {
  const scopes = document['scopes_supported']
  const offered = Array.isArray(scopes) && scopes.length > 0 ? `, scopes ${scopes.join(' ')}` : ''
  if (serverId !== undefined) return pass(`issuer ${issuer}${offered}`)
  return warn(
    `issuer ${issuer} is that of the whole project`,
    'Copy the Discovery URL of the MCP server (Agentic Identity Hub > MCP Servers) into DESCOPE_CONFIG_URL: only it lets clients register.',
  )
}

async function checkKeys(deps: HttpDeps, { jwksUri, jwksUriRefused }: Discovery): Promise<Verdict> {
  const reply = await requestReply(deps, jwksUri, { headers: { accept: 'application/json' } })
  const { size } = await processKeySet(reply, jwksUri)
  const count = `${size} RS256 ${size === 1 ? 'key' : 'keys'}`
  if (!jwksUriRefused) return pass(count)
  return warn(
    `${count}; the "jwks_uri" of the document is at another origin and not used`,
    'Use the Discovery URL with the host that the keys have.',
  )
}

function waysOf({ issuer, document }: Discovery): ClientWays {
  return {
    issuer,
    registrationEndpoint: safeUrl(document, 'registration_endpoint', issuer),
    clientIdMetadataDocuments: document['client_id_metadata_document_supported'] === true,
    deviceAuthorizationEndpoint: safeUrl(document, 'device_authorization_endpoint', issuer),
  }
}

function safeUrl(document: JsonObject, member: string, issuer: string): string | undefined {
  const text = stringMember(document, member)
  if (text === undefined || peerUrlProblem(text, new URL(issuer)) !== undefined) return undefined
  return text
}
