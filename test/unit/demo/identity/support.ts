import * as oauth from 'oauth4webapi'
import { onTestFinished } from 'vitest'
import {
  type Identity,
  type IdentityInput,
  startIdentity,
} from '../../../../src/demo/identity/index.js'
import type { Clock } from '../../../../src/util/runtime.js'

export const REDIRECT_URI = 'http://127.0.0.1:28682/callback'
export const RESOURCE = 'https://proxy.example.com/mcp'

/** oauth4webapi wants https unless it is told that loopback is meant. */
export const insecure = { [oauth.allowInsecureRequests]: true }

export interface MovableClock extends Clock {
  /** Seconds. */
  advance(seconds: number): void
}

/** Runs with real time until it is moved ahead. */
export function movableClock(): MovableClock {
  let offset = 0
  return {
    now: () => Date.now() + offset,
    after: (ms, callback) => {
      const timer = setTimeout(callback, ms)
      return () => clearTimeout(timer)
    },
    advance: (seconds) => {
      offset += seconds * 1000
    },
  }
}

export interface Started extends Identity {
  readonly clock: MovableClock
}

/** Starts an emulator that closes with the test. */
export async function start(options: IdentityInput = {}): Promise<Started> {
  const clock = movableClock()
  const identity = await startIdentity({ clock, ...options })
  onTestFinished(() => identity.close())
  return { ...identity, clock }
}

/** Discovers the authorization server of the MCP server, or the project's. */
export async function discover(identity: Identity, issuer: string = identity.issuer) {
  const url = new URL(issuer)
  const response = await oauth.discoveryRequest(url, { algorithm: 'oidc', ...insecure })
  return oauth.processDiscoveryResponse(url, response)
}

/** Registers a client; public unless `metadata` says otherwise. */
export async function registerClient(
  as: oauth.AuthorizationServer,
  metadata: Partial<oauth.Client> = {},
): Promise<oauth.Client> {
  const response = await oauth.dynamicClientRegistrationRequest(
    as,
    {
      client_name: 'Test client',
      application_type: 'native',
      redirect_uris: [REDIRECT_URI],
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      ...metadata,
    },
    insecure,
  )
  return oauth.processDynamicClientRegistrationResponse(response)
}

export interface SignInOptions {
  scope?: string
  resource?: string
  clientAuth?: oauth.ClientAuth
  extra?: Record<string, string>
}

/** Builds an authorization URL with fresh `state` and PKCE values. */
export async function authorizationUrl(
  as: oauth.AuthorizationServer,
  client: oauth.Client,
  { scope, resource, extra }: SignInOptions = {},
) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const url = new URL(as.authorization_endpoint as string)
  const parameters: Record<string, string | undefined> = {
    response_type: 'code',
    client_id: client.client_id,
    redirect_uri: REDIRECT_URI,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    scope,
    resource,
    ...extra,
  }
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, value)
  }
  return { url, verifier, state }
}

/** Follows an authorization URL as a browser does, up to the redirect to the client. */
export async function visit(url: URL): Promise<URL> {
  const response = await fetch(url, { redirect: 'manual' })
  const location = response.headers.get('location')
  if (location === null) throw new Error(`no redirect: ${response.status} ${await response.text()}`)
  return new URL(location)
}

/** Signs in with the authorization code flow and returns the tokens. */
export async function signIn(
  as: oauth.AuthorizationServer,
  client: oauth.Client,
  options: SignInOptions = {},
): Promise<oauth.TokenEndpointResponse> {
  const { url, verifier, state } = await authorizationUrl(as, client, options)
  const parameters = oauth.validateAuthResponse(as, client, await visit(url), state)
  const response = await oauth.authorizationCodeGrantRequest(
    as,
    client,
    options.clientAuth ?? oauth.None(),
    parameters,
    REDIRECT_URI,
    verifier,
    {
      ...insecure,
      ...(options.resource ? { additionalParameters: { resource: options.resource } } : {}),
    },
  )
  return oauth.processAuthorizationCodeResponse(as, client, response)
}

/** Discovers, registers a public client and signs in. */
export async function signedIn(identity: Identity, options: SignInOptions = {}) {
  const as = await discover(identity)
  const client = await registerClient(as)
  return { as, client, tokens: await signIn(as, client, options) }
}

/** Refreshes with a public client and returns the tokens. */
export async function refresh(
  as: oauth.AuthorizationServer,
  client: oauth.Client,
  token: string | undefined,
): Promise<oauth.TokenEndpointResponse> {
  const response = await oauth.refreshTokenGrantRequest(
    as,
    client,
    oauth.None(),
    token as string,
    insecure,
  )
  return oauth.processRefreshTokenResponse(as, client, response)
}

/** Posts a form and returns the status with the parsed JSON body. */
export async function postForm(
  url: string | undefined,
  form: Record<string, string> | URLSearchParams | [string, string][],
  headers: Record<string, string> = {},
) {
  const body = new URLSearchParams(form)
  return read(await fetch(url as string, { method: 'POST', body, headers }))
}

export async function postJson(
  url: string | undefined,
  body: unknown,
  headers: Record<string, string> = {},
) {
  const response = await fetch(url as string, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
  return read(response)
}

export async function read(response: Response) {
  const text = await response.text()
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of many shapes
  let body: any = text
  try {
    body = JSON.parse(text)
  } catch {}
  return { status: response.status, headers: response.headers, body }
}
