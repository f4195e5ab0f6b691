import { discoverProtectedResource } from '../../auth/oauth/discover.js'
import { type BearerChallenge, readBearerChallenge } from '../../auth/oauth/parse-challenge.js'
import {
  type AuthorizationServer,
  discoverAuthorizationServer,
} from '../../auth/oauth/server-metadata.js'
import type { HttpAnswer } from '../../upstream/answer-reader.js'
import { ProxyError } from '../../util/errors.js'
import { wellKnownPath } from '../../util/url-text.js'
import { type Check, fail, pass, skip, type Verdict, warn } from '../check.js'
import { gateOf } from '../explain.js'
import { handshakeRefusal } from '../handshake.js'
import type { Probe } from '../probe.js'

export const OPEN = 'the target is open'

export const GATE = 'something in front of the target answers requests without a credential'

/** Creates the checks of the metadata by which clients find the authorization server. */
export function authChecks(probe: Probe): Check[] {
  return [
    { id: 'auth.challenge', needs: ['reach.tcp', 'reach.tls'], run: () => checkChallenge(probe) },
    { id: 'auth.prm', needs: ['auth.challenge'], run: () => checkResource(probe) },
    { id: 'auth.as-metadata', needs: ['auth.prm'], run: () => checkServer(probe) },
  ]
}

async function checkChallenge(probe: Probe): Promise<Verdict> {
  const handshake = await probe.anonymous()
  const answer = handshakeRefusal(handshake)
  if (answer === undefined) {
    return skip(handshake.session === undefined ? 'there is no MCP answer to judge' : OPEN)
  }
  const gate = gateOf(answer)
  if (gate !== undefined) return probe.access.kind === 'static' ? skip(GATE) : gate
  const challenge = await probe.challenge()
  if (probe.access.kind === 'static' && challenge?.resourceMetadata === undefined) {
    return pass(`${answer.status} without metadata; ${probe.access.label} needs none`)
  }
  return judgeRefusal(answer, probe.publishesMetadata)
}

/** Judges how a target tells clients without a credential where to get one. */
export async function judgeRefusal(
  answer: HttpAnswer,
  publishesMetadata: () => Promise<boolean>,
): Promise<Verdict> {
  const header = answer.header('www-authenticate')
  const challenge = readBearerChallenge(header)
  if (answer.status === 403) {
    return fail(
      '403 to a request without a token',
      'Answer 401 with WWW-Authenticate: clients sign in at a 401 only. If a credential of its own is wanted, pass it as --header or TARGET_TOKEN.',
    )
  }
  if (header === undefined) {
    if (await publishesMetadata()) {
      return warn(
        '401 without WWW-Authenticate; clients must guess where the metadata is',
        'Add the header `WWW-Authenticate: Bearer` with `resource_metadata="<absolute URL>"` to the 401.',
      )
    }
    return fail(
      '401 without WWW-Authenticate',
      'Add the header `WWW-Authenticate: Bearer` with `resource_metadata="<absolute URL>"`, or pass the static token of the server as TARGET_TOKEN or --header.',
    )
  }
  if (challenge === undefined) {
    const scheme = header.split(/[\s,]/, 1)[0] ?? ''
    return fail(
      `401 requires ${JSON.stringify(scheme.slice(0, 40))}, not Bearer`,
      'Let the server require Bearer, or pass the credential that it wants: `--header "Authorization: …"`.',
    )
  }
  return judgeMetadataUrl(challenge)
}

const SCHEMES = { offered: 'Bearer, DPoP', required: 'DPoP' } as const

function judgeMetadataUrl({ resourceMetadata: url, scope, proof }: BearerChallenge): Verdict {
  const schemes = proof === undefined ? 'Bearer' : SCHEMES[proof]
  if (url === undefined) {
    return warn(
      `401 ${schemes} without resource_metadata; clients must guess it`,
      'Add resource_metadata="<absolute URL>" to the WWW-Authenticate header.',
    )
  }
  if (!URL.canParse(url)) {
    return fail(
      `resource_metadata is ${JSON.stringify(url.slice(0, 100))}`,
      'Write an absolute URL there: clients do not complete it.',
    )
  }
  return pass(`401 ${schemes}, resource_metadata${scope === undefined ? '' : `, scope "${scope}"`}`)
}

async function checkResource(probe: Probe): Promise<Verdict> {
  const { url, deps, access } = probe
  const handshake = await probe.anonymous()
  if (handshakeRefusal(handshake) === undefined) {
    if (handshake.session === undefined) return skip('there is no MCP answer to judge')
    return (await probe.publishesMetadata())
      ? pass('published, although the target is open')
      : skip(OPEN)
  }
  const challenge = await probe.challenge()
  if (access.kind === 'static' && challenge?.resourceMetadata === undefined) {
    return skip(`${access.label} needs no metadata`)
  }
  const named = challenge?.resourceMetadata
  const found = await discoverProtectedResource(deps, url, named)
  probe.resource = found
  if (found === undefined) {
    if (access.kind === 'token') return warn('no metadata is published', NO_METADATA)
    const place = `${url.origin}${wellKnownPath('oauth-protected-resource')}`
    return fail(`no metadata at ${place}…`, NO_METADATA)
  }
  if (found.authorizationServers.length === 0) {
    return fail(
      'names no "authorization_servers"',
      'Name the issuer there; with Descope, the one of the MCP server (…/v1/apps/agentic/P…/MS…).',
    )
  }
  const meant =
    named !== undefined && URL.canParse(named, url.href) ? new URL(named, url).href : named
  if (named !== undefined && found.metadataUrl !== meant) {
    return warn(
      `nothing usable at ${named.slice(0, 200)}; found at ${found.metadataUrl}`,
      'Correct "resource_metadata" in the WWW-Authenticate header of the server.',
    )
  }
  if (found.resource === url.href || `${found.resource}/` === url.href) {
    return pass('resource equals the URL')
  }
  return warn(
    `resource is ${found.resource}, a part of the URL`,
    `Set "resource" to ${url.href}: strict clients require the same URL.`,
  )
}

const NO_METADATA =
  'Publish protected resource metadata (RFC 9728) there, as `mcp-descope-proxy serve` does. If the server wants a static token, pass it as TARGET_TOKEN or --header.'

async function checkServer(probe: Probe): Promise<Verdict> {
  const { resource, deps, url, access } = probe
  if (resource === undefined) return skip('no authorization server is named')
  const missing: string[] = []
  let failure: unknown
  for (const issuer of resource.authorizationServers) {
    let server: AuthorizationServer | undefined
    try {
      server = await discoverAuthorizationServer(deps, issuer, { near: url })
    } catch (error) {
      failure ??= error
    }
    if (server === undefined) {
      missing.push(issuer)
      continue
    }
    probe.server = server
    const can = [
      server.grantTypes.includes('refresh_token') ? 'refresh' : '',
      server.deviceAuthorizationEndpoint === undefined ? '' : 'device',
      server.registrationEndpoint === undefined ? '' : 'DCR',
      server.clientIdMetadataDocuments ? 'CIMD' : '',
    ].filter((word) => word !== '')
    const detail = ['issuer matches', 'S256', ...can].join(' · ')
    const registers = server.registrationEndpoint !== undefined || server.clientIdMetadataDocuments
    if (registers || access.hasClient || access.kind === 'token') return pass(detail)
    return warn(
      `${detail}; clients cannot register by themselves`,
      'Assistants need it: with Descope, name the issuer of the MCP server (…/v1/apps/agentic/P…/MS…), not of the project.',
    )
  }
  if (failure !== undefined) addHint(failure)
  return fail(
    `no metadata at ${missing.join(', ')}`,
    'Correct "authorization_servers": it holds the issuer, from which clients derive the URL of its metadata.',
  )
}

/** Adds the hint that fits here to the error of an invalid document, which has none of its own. */
function addHint(error: unknown): never {
  if (error instanceof ProxyError && error.code === 'DISCOVERY_INVALID' && !error.hint) {
    throw new ProxyError(error.code, error.message, {
      hint: 'Correct "authorization_servers" to the issuer, to the letter, or the metadata that the authorization server publishes.',
      cause: error,
    })
  }
  throw error
}
