import type { JWK } from 'jose'
import { fetchClientMetadata, isMetadataUrl } from './client-metadata.js'
import { authorization, type IdentityCall } from './http.js'
import type { Client } from './records.js'
import { refusal } from './refusals.js'
import { remember, type State } from './state.js'

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

/**
 * Identifies the client of a token request and proves a confidential one: by Basic or in the body.
 *
 * @throws {EmulatorRefusal} `unknown_client`, `bad_secret` or `invalid_request`
 * @see [RFC 6749 §2.3.1](https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1)
 */
export function authenticateClient(
  state: State,
  call: IdentityCall,
  params: URLSearchParams,
): Client {
  const basic = authorization(call, 'basic')
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
  if ((client.clientSecret ?? '') !== secret) throw refusal('bad_secret')
  return client
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
