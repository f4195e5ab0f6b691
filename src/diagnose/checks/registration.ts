import { describeOAuthError } from '../../auth/oauth/failure.js'
import { fetchText, type HttpDeps } from '../../auth/oauth/http.js'
import type { AuthorizationServer } from '../../auth/oauth/server-metadata.js'
import { tryParseJson } from '../../util/json.js'
import { type Check, fail, pass, skip, type Verdict, warn } from '../check.js'
import type { Probe } from '../probe.js'

/** How an authorization server accepts clients that are not registered by hand. */
export type ClientWays = Pick<
  AuthorizationServer,
  'issuer' | 'registrationEndpoint' | 'clientIdMetadataDocuments' | 'deviceAuthorizationEndpoint'
>

/** Creates the checks of client registration and of the device flow. */
export function registrationChecks(probe: Probe): Check[] {
  const needs = ['auth.as-metadata']
  const of = (judge: (ways: ClientWays) => Promise<Verdict> | Verdict) => async () =>
    probe.server === undefined ? skip('no authorization server is named') : judge(probe.server)
  return [
    { id: 'auth.registration', needs, run: of((ways) => checkRegistration(probe.deps, ways)) },
    { id: 'auth.device', needs, run: of(checkDevice) },
  ]
}

const SETTINGS = 'In Descope, under Agentic Identity Hub > MCP Servers > this server'

const PROJECT_HINT =
  'With Descope, use the Discovery URL of the MCP server (…/v1/apps/agentic/P…/MS…), not of the project.'

/** Descope's issuers, on its own hosts and on custom domains. */
const isDescope = (issuer: string) => /\/v1\/apps\/(agentic\/)?P[A-Za-z0-9]{27}/.test(issuer)

/**
 * Says which kinds of registration are available. The endpoint receives a body that is not JSON: the
 * answer shows whether it is open, and nothing gets registered.
 */
export async function checkRegistration(deps: HttpDeps, ways: ClientWays): Promise<Verdict> {
  const { issuer, registrationEndpoint: endpoint, clientIdMetadataDocuments: hasCimd } = ways
  if (endpoint === undefined) {
    if (hasCimd) return pass('CIMD; DCR is off')
    const detail = 'neither DCR nor CIMD: clients cannot register by themselves'
    if (isDescope(issuer) && !issuer.includes('/agentic/')) return warn(detail, PROJECT_HINT)
    return warn(detail, onOff(issuer, 'Dynamic Client Registration (DCR) or CIMD'))
  }
  const refused = await refusalOfRegistration(deps, endpoint, issuer)
  if (refused !== undefined) return refused
  if (hasCimd) return pass('DCR and CIMD')
  return warn('DCR; CIMD is off', onOff(issuer, 'CIMD, with the domains of the clients'))
}

async function refusalOfRegistration(
  deps: HttpDeps,
  endpoint: string,
  issuer: string,
): Promise<Verdict | undefined> {
  const headers = { 'content-type': 'application/json' }
  const { status, body } = await fetchText(deps, new URL(endpoint), {
    ...{ method: 'POST', headers, body: '{' },
  })
  const error = describeOAuthError(tryParseJson(body)) ?? ''
  const said = error === '' ? '' : `: ${error}`
  if (/x-forwarded-host/i.test(body)) {
    return fail(
      `registration is refused (HTTP ${status}${said})`,
      'Something on the way adds X-Forwarded-Host, with which Descope refuses registration: have the HTTP proxy remove that header.',
    )
  }
  if (status !== 400 && status !== 415 && status !== 422) {
    const detail = `registration is published and refused (HTTP ${status}${said})`
    return warn(detail, onOff(issuer, 'Dynamic Client Registration (DCR)'))
  }
  return undefined
}

/** Judges whether sign-in works on a machine without a browser. */
export function checkDevice({ issuer, deviceAuthorizationEndpoint }: ClientWays): Verdict {
  if (deviceAuthorizationEndpoint !== undefined) return pass('the device flow is on')
  return warn(
    'the device flow is off: signing in needs a browser, or a pasted URL',
    isDescope(issuer)
      ? 'In Descope, switch it on under Settings > Authentication Methods > Device Authentication.'
      : 'Switch the device flow (RFC 8628) on at the authorization server, if machines without a browser matter.',
  )
}

function onOff(issuer: string, what: string): string {
  return isDescope(issuer)
    ? `${SETTINGS}, switch on ${what}.`
    : `Switch on ${what} at the authorization server, or register each client by hand.`
}
