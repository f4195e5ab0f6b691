import { decodeJwt, importJWK, type JWK, jwtVerify } from 'jose'
import { fetchClientMetadata, isMetadataUrl } from './client-metadata.js'
import { issuerUrl } from './documents.js'
import { authorization, type IdentityCall } from './http.js'
import type { Client } from './records.js'
import { refusal } from './refusals.js'
import { firstSeen, remember, type State } from './state.js'

/**
 * Finds a client by its id: a configured one, a registered one, or the project itself, whose id
 * Descope's device demo uses as a public client.
 *
 * @throws {EmulatorRefusal} `unknown_client`
 */
function findClient(state: State, clientId: string | null | undefined): Client {
  const configured = state.options.clients.find((client) => client.clientId === clientId)
  if (configured !== undefined) {
    const { clientSecret, publicKey } = configured
    return { ...configured, clientSecret, publicKey: publicKey as JWK | undefined, machine: true }
  }
  if (state.machineClient !== undefined && state.machineClient.clientId === clientId) {
    return { ...state.machineClient, ...MACHINE }
  }
  const known = state.clients.get(clientId ?? '')
  if (known !== undefined) return known
  if (clientId !== state.projectId) throw refusal('unknown_client')
  return {
    clientId,
    clientSecret: undefined,
    name: 'This project',
    redirectUris: [],
    policy: true,
    machine: false,
    device: true,
  }
}

/**
 * Finds the client of an authorization request. A client id that is a URL stands for the document
 * there, which is read anew each time.
 *
 * @throws {EmulatorRefusal} `unknown_client` or `invalid_metadata`
 */
export async function resolveClient(state: State, clientId: string | null): Promise<Client> {
  if (clientId === null || !state.options.cimd || !isMetadataUrl(clientId)) {
    return findClient(state, clientId)
  }
  state.counters.metadataFetches++
  const client = await fetchClientMetadata(clientId)
  state.clients.set(clientId, client)
  return client
}

const MACHINE = { name: 'CI', redirectUris: [], policy: true, machine: true, device: false }

/** Tells whether a client has nothing to prove itself with. */
export function isPublic({ clientSecret, publicKey }: Client): boolean {
  return clientSecret === undefined && publicKey === undefined
}

/**
 * Identifies the client of a token request and proves a confidential one: by Basic, in the body, or
 * by a signed assertion (`private_key_jwt`).
 *
 * @throws {EmulatorRefusal} `unknown_client`, `bad_secret` or `invalid_request`
 * @see [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)
 */
export async function authenticateClient(
  state: State,
  call: IdentityCall,
  params: URLSearchParams,
): Promise<Client> {
  const basic = authorization(call, 'basic')
  const asserted = assertedClientId(params)
  if (asserted !== undefined) {
    if (basic !== undefined || params.has('client_secret')) {
      throw refusal('invalid_request', 'The client authenticated in two ways')
    }
    if ((params.get('client_id') ?? asserted) !== asserted) {
      throw refusal('invalid_request', '"client_id" is not the one that authenticated')
    }
    const client = findClient(state, asserted)
    await verifyAssertion(state, call, client, params)
    return client
  }
  const [clientId, secret] =
    basic === undefined
      ? [params.get('client_id'), params.get('client_secret') ?? '']
      : parseBasic(basic)
  remember(state, secret)
  if (basic !== undefined) {
    if (params.has('client_secret')) {
      throw refusal('invalid_request', 'The client authenticated in two ways')
    }
    if ((params.get('client_id') ?? clientId) !== clientId) {
      throw refusal('invalid_request', '"client_id" is not the one that authenticated')
    }
  }
  const client = findClient(state, clientId)
  if (client.publicKey !== undefined && client.clientSecret === undefined) {
    throw refusal('bad_secret', 'This client proves itself by "private_key_jwt"')
  }
  if ((client.clientSecret ?? '') !== secret) throw refusal('bad_secret')
  return client
}

/**
 * Identifies the client of a token exchange, where Descope's own SDK proves nothing: it may be left
 * out, or only be named.
 *
 * @throws {EmulatorRefusal} as {@link authenticateClient} when it tries to prove itself.
 */
export async function exchangingClient(
  state: State,
  call: IdentityCall,
  params: URLSearchParams,
): Promise<Client | undefined> {
  const proves = ['client_secret', 'client_assertion'].some((name) => params.has(name))
  if (proves || authorization(call, 'basic') !== undefined) {
    return authenticateClient(state, call, params)
  }
  return params.has('client_id') ? findClient(state, params.get('client_id')) : undefined
}

/**
 * Splits Basic credentials and undoes their form encoding, in which `+` is a space: a client id
 * that was not encoded does not survive it.
 *
 * @throws {EmulatorRefusal} `unknown_client`
 */
export function parseBasic(value: string): [id: string, secret: string] {
  const text = Buffer.from(value, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  if (colon < 0) throw refusal('unknown_client')
  return [decodeForm(text.slice(0, colon)), decodeForm(text.slice(colon + 1))]
}

function decodeForm(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw refusal('unknown_client')
  }
}

const ASSERTION_TYPE = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Longest time for which the id of an assertion is kept, seconds. */
const LONGEST_LIFE = 3600

/**
 * Returns the client id of a `client_assertion`, not yet verified; `undefined` without one.
 *
 * @throws {EmulatorRefusal} `invalid_request` for an assertion of another type.
 */
function assertedClientId(params: URLSearchParams): string | undefined {
  const assertion = params.get('client_assertion')
  if (assertion === null) return undefined
  if (params.get('client_assertion_type') !== ASSERTION_TYPE) {
    throw refusal('invalid_request', `"client_assertion_type" must be "${ASSERTION_TYPE}"`)
  }
  try {
    return decodeJwt(assertion).sub ?? ''
  } catch {
    throw refusal('bad_secret', 'Invalid client assertion')
  }
}

/**
 * Verifies the assertion by which a client proves itself: ES256, once, for this server.
 *
 * Which audiences Descope takes is not known; the emulator takes the URL of the requested endpoint,
 * both issuers and its own origin.
 *
 * @throws {EmulatorRefusal} `bad_secret`
 * @see [RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)
 */
async function verifyAssertion(
  state: State,
  call: IdentityCall,
  { clientId, publicKey }: Client,
  params: URLSearchParams,
): Promise<void> {
  const assertion = params.get('client_assertion') ?? ''
  remember(state, assertion)
  if (publicKey === undefined) throw refusal('bad_secret', 'This client has no public key')
  const { baseUrl } = state
  const audience = [
    `${baseUrl}${call.path}`,
    issuerUrl(state, 'agentic'),
    issuerUrl(state, 'project'),
    baseUrl,
  ]
  try {
    const { payload } = await jwtVerify(assertion, await importJWK(publicKey, 'ES256'), {
      algorithms: ['ES256'],
      issuer: clientId,
      subject: clientId,
      audience,
      requiredClaims: ['exp', 'jti'],
      currentDate: new Date(state.clock.now()),
      clockTolerance: 5,
    })
    if (firstSeen(state, String(payload.jti), LONGEST_LIFE)) return
  } catch {
    throw refusal('bad_secret', 'Invalid client assertion')
  }
  throw refusal('bad_secret', 'This client assertion was used before')
}
