import { randomBytes } from 'node:crypto'
import { readBearerChallenge } from '../../auth/oauth/parse-challenge.js'
import { audiencesOf, isResource, readUnverifiedClaims } from '../../auth/verify/claims.js'
import { stringMember } from '../../util/json.js'
import { isPrivateHost } from '../../util/private-addresses.js'
import { type Check, fail, pass, skip, type Verdict, warn } from '../check.js'
import { answerOf, createHttpClient } from '../client.js'
import { gateOf } from '../explain.js'
import { type Handshake, handshakeRefusal, openHandshake } from '../handshake.js'
import { isGiven, type Probe, type Proof } from '../probe.js'
import { GATE, OPEN } from './auth.js'

const REACH = ['reach.tcp', 'reach.tls'] as const

/** Creates the checks of which tokens the target accepts and refuses. */
export function tokenChecks(probe: Probe): Check[] {
  const needs = probe.access.kind === 'client' ? [...REACH, 'auth.as-metadata'] : REACH
  return [
    { id: 'auth.token', needs, run: () => checkToken(probe) },
    { id: 'auth.rejects-no-token', needs: REACH, run: () => checkWithoutToken(probe) },
    { id: 'auth.rejects-bad-token', needs: REACH, run: () => checkBadToken(probe) },
  ]
}

async function checkToken(probe: Probe): Promise<Verdict> {
  const { access } = probe
  const open = await probe.anonymous()
  const refusal = handshakeRefusal(open)
  if (refusal === undefined) {
    if (open.session !== undefined) return skip(OPEN)
    if (!isGiven(access)) return skip('there is no MCP answer to judge')
  }
  if (!isGiven(access) && refusal !== undefined && gateOf(refusal) !== undefined) {
    return { ...skip('not checked, because auth.challenge failed'), blockedBy: 'auth.challenge' }
  }
  const handshake = await probe.authorized()
  const proof = await probe.proof()
  const answer = handshakeRefusal(handshake)
  if (answer === undefined) return pass(describeProof(probe, proof))
  const challenge = readBearerChallenge(answer.header('www-authenticate'))
  const said = challenge?.errorDescription ?? challenge?.error
  const quoted = said === undefined ? '' : ` (${JSON.stringify(said.slice(0, 200))})`
  const detail = `${access.label} is refused with ${answer.status}${quoted}`
  const gate = gateOf(answer)
  if (gate !== undefined) return gate
  if (challenge?.error === 'insufficient_scope') {
    const scope = challenge.scope === undefined ? '' : ` ${JSON.stringify(challenge.scope)}`
    const hint = `Get a token with the scopes${scope}: \`--scope "…"\`; in Descope, allow them to the client by a Policy.`
    return fail(detail, hint, 'CREDENTIAL_REFUSED')
  }
  const isUnbound = challenge?.proof === 'required' && !isSentAsDpop(proof)
  return fail(detail, isUnbound ? NEEDS_PROOF : hintOf(probe, proof, said), 'CREDENTIAL_REFUSED')
}

const NEEDS_PROOF =
  'The server takes tokens that are bound to a key only (DPoP): sign in with `mcp-descope-proxy login <url> --force`, or with client credentials.'

const isSentAsDpop = (proof: Proof | undefined) =>
  proof?.headers['authorization']?.startsWith('DPoP ') === true

function describeProof({ access, clock, ...probe }: Probe, proof: Proof | undefined): string {
  const claims = proof?.token === undefined ? {} : readUnverifiedClaims(proof.token)
  const { exp } = claims
  const parts = [access.label]
  const resource = probe.resource?.resource ?? probe.url.href
  if (audiencesOf(claims).some(isResource(resource))) parts.push('aud ok')
  if (typeof exp === 'number') {
    const minutes = Math.round((exp - clock.now() / 1_000) / 60)
    parts.push(minutes < 120 ? `${minutes} min left` : `${Math.round(minutes / 60)} h left`)
  }
  return parts.join(', ')
}

/**
 * Guesses from the unverified claims why a token was refused.
 *
 * @param said What the server says about it.
 */
function hintOf(
  { access, clock, url, resource, server }: Probe,
  proof: Proof | undefined,
  said: string | undefined,
): string {
  const scheme = /^\s*(bearer|dpop)\s/i.exec(proof?.token ?? '')?.[1]
  if (scheme !== undefined) {
    return `Write the token alone into ${access.label}, without ${JSON.stringify(scheme)} before it.`
  }
  const claims = proof?.token === undefined ? {} : readUnverifiedClaims(proof.token)
  if (Object.keys(claims).length === 0) {
    return access.kind === 'static'
      ? `Set ${access.label} to the credential that the server takes.`
      : 'Get a new token: `mcp-descope-proxy login <url> --force`.'
  }
  const { exp } = claims
  if (typeof exp === 'number' && exp * 1_000 <= clock.now()) {
    return 'The token has expired: get a new one.'
  }
  const expected = resource?.resource ?? url.href
  const audiences = audiencesOf(claims)
  if (!audiences.some(isResource(expected))) {
    return `The token is for ${JSON.stringify(audiences.join(' '))}, not for ${expected}: in Descope, set the MCP Server URL to that.`
  }
  if (said !== undefined && WRONG_SIGNATURE.test(said)) return NEW_SIGNATURE
  const issuer = stringMember(claims, 'iss')
  if (server !== undefined && issuer !== server.issuer) {
    const project = projectIn(server.issuer)
    if (project !== undefined && projectIn(issuer ?? '') === project) {
      return `Descope signs the tokens of one project under several issuers: have the server accept ${issuer} besides ${server.issuer}, as \`mcp-descope-proxy serve\` does.`
    }
    return `The token is from ${JSON.stringify(issuer)}; have the server accept that issuer besides ${server.issuer}.`
  }
  return 'Audience and time of the token are good: look into the log of the server for its reason.'
}

const WRONG_SIGNATURE = /\bsignature\b|\bnot signed\b|\bnot a (?:valid )?JWT\b/i

const NEW_SIGNATURE =
  'The token was changed or cut off after it was signed, or another key signed it: copy the whole token, or get a new one.'

const projectIn = (issuer: string) => /\/(P[A-Za-z0-9]{27,})(?:\/|$)/.exec(issuer)?.[1]

async function checkWithoutToken(probe: Probe): Promise<Verdict> {
  const { access, url } = probe
  const handshake = await probe.anonymous()
  if (handshake.session === undefined || handshakeRefusal(handshake))
    return judgeRefusal(probe, handshake, 'no token')
  if (isGiven(access)) {
    return fail(
      `answers without a token, although ${access.label} is given`,
      'Check the token on every request, `initialize` and `server/discover` too. If the server is meant to be open, remove the credential.',
    )
  }
  if (await probe.publishesMetadata()) {
    return fail(
      'answers without a token, although it publishes metadata of a protected resource',
      'Check the token on every request, `initialize` and `server/discover` too.',
    )
  }
  if (isPrivateHost(url.hostname)) return skip(OPEN)
  return warn(
    'answers anyone on the internet',
    'Put a sign-in in front: `mcp-descope-proxy serve`. If it is meant to be open, `--skip auth.rejects-no-token`.',
  )
}

async function checkBadToken(probe: Probe): Promise<Verdict> {
  const { access, clock, url, timeoutMs } = probe
  const open = await probe.anonymous()
  if (open.session !== undefined && !isGiven(access)) return skip(OPEN)
  if (!handshakeRefusal(open) && open.session === undefined && !isGiven(access)) {
    return skip('there is no MCP answer to judge')
  }
  const proof = await probe.proof().catch(() => undefined)
  const headers = { ...access.plain, ...broken(proof) }
  const client = createHttpClient(clock, await probe.network.anew().connect(url), timeoutMs)
  const handshake = await openHandshake({ client, headers })
  await handshake.session?.close()
  await client.close()
  if (handshake.session === undefined) return judgeRefusal(probe, handshake, 'a broken token')
  const isJwt =
    proof?.token !== undefined && Object.keys(readUnverifiedClaims(proof.token)).length > 0
  return isJwt
    ? fail(
        'accepts a token with a broken signature',
        'Verify the signature of each token with the keys of the issuer (`jwks_uri`).',
      )
    : fail('accepts a token that nobody issued', 'Verify each token before anything else.')
}

/** Requires 401, because only that makes clients sign in or refresh. */
function judgeRefusal({ access }: Probe, handshake: Handshake, what: string): Verdict {
  const answer = handshakeRefusal(handshake)
  if (answer !== undefined && gateOf(answer) !== undefined) {
    return skip(GATE)
  }
  if (answer?.status === 401) return pass(`401 to ${what}`)
  if (answer?.status === 403) {
    if (access.kind === 'static') return pass(`403 to ${what}`)
    return warn(`403 to ${what}`, 'Answer 401: clients sign in or refresh at a 401 only.')
  }
  const { discover, initialize } = handshake
  const last = initialize ?? discover
  const status = last && answerOf(last)?.status
  if (what === 'no token' || status === undefined) return skip('there is no MCP answer to judge')
  return fail(
    `${status} to ${what}`,
    'Answer 401 with WWW-Authenticate: any other status makes clients give up.',
  )
}

const HEADER = Buffer.from('{"alg":"RS256","typ":"JWT","kid":"broken"}').toString('base64url')

/** Makes an invalid copy of our credential: the same claims with another signature, or noise. */
function broken(proof: Proof | undefined): Record<string, string> {
  const noise = randomBytes(32).toString('base64url')
  const [header, payload, signature] = proof?.token?.split('.') ?? []
  if (header !== undefined && payload !== undefined && signature !== undefined) {
    const other = randomBytes(Math.ceil((signature.length * 3) / 4)).toString('base64url')
    return { authorization: `Bearer ${header}.${payload}.${other.slice(0, signature.length)}` }
  }
  const names = Object.keys(proof?.headers ?? {})
  if (names.length === 0) {
    const claims = Buffer.from('{"sub":"nobody"}').toString('base64url')
    return { authorization: `Bearer ${HEADER}.${claims}.${noise}` }
  }
  return Object.fromEntries(
    names.map((name) => [name, name === 'authorization' ? `Bearer broken-${noise}` : noise]),
  )
}
