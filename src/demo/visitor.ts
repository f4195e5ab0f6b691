import { randomBytes } from 'node:crypto'
import {
  type OAuthClientProvider,
  UnauthorizedError,
} from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type {
  OAuthClientInformationMixed,
  OAuthClientMetadata,
  OAuthTokens,
} from '@modelcontextprotocol/sdk/shared/auth.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { ProxyError } from '../util/errors.js'

type Fetch = typeof globalThis.fetch

/** A real MCP client that knows only the URL of a protected server. */
export interface Visitor {
  /** Calls without a token; resolves with the metadata URL from the 401. */
  callWithoutToken(): Promise<string>
  /** Finds the authorization server and registers; resolves with the client id and the server. */
  register(): Promise<string>
  /** Signs in as a browser would and redeems the code; resolves with a description of the tokens. */
  signIn(): Promise<string>
  /** Opens an MCP session with the token; resolves with the name of the server. */
  connect(): Promise<string>
  listTools(): Promise<string[]>
  /** Calls a tool; resolves with the text of its result. */
  callTool(name: string, input: Record<string, unknown>): Promise<string>
  close(): Promise<void>
}

const REDIRECT_URL = 'http://127.0.0.1:28682/callback'

const CLIENT = { name: 'demo-client', title: 'Demo client', version: '1.0.0' }

/** Creates a visitor of the MCP server at `url`. Its methods must be called in order. */
export function createVisitor(url: string, fetch: Fetch): Visitor {
  const provider = createMemoryOAuthProvider(CLIENT.title, REDIRECT_URL)
  const client = new Client(CLIENT)
  const createTransport = () =>
    new StreamableHTTPClientTransport(new URL(url), { authProvider: provider, fetch })

  return {
    callWithoutToken: () => callWithoutToken(url, fetch),
    async register() {
      try {
        await new Client(CLIENT).connect(createTransport() as Transport)
      } catch (error) {
        if (!(error instanceof UnauthorizedError)) throw error
      }
      const { clientId, authorizationUrl } = provider
      if (clientId === undefined || authorizationUrl === undefined) {
        throw new ProxyError('PROTOCOL_INVALID', 'The server did not require a sign-in')
      }
      return `${clientId} at ${authorizationUrl.origin}`
    },
    async signIn() {
      const { authorizationUrl, expectedState } = provider
      if (authorizationUrl === undefined) throw new Error('not registered yet')
      const callback = await followAuthorization(authorizationUrl, REDIRECT_URL, fetch)
      const transport = createTransport()
      await transport.finishAuth(readCallback(callback, expectedState))
      await transport.close()
      return describeTokens(provider.savedTokens)
    },
    async connect() {
      await client.connect(createTransport() as Transport)
      const { name, version } = client.getServerVersion() ?? { name: 'unknown', version: '' }
      return `${name} ${version}`
    },
    async listTools() {
      const { tools } = await client.listTools()
      return tools.map((tool) => tool.name)
    },
    async callTool(name, input) {
      const { content, isError } = await client.callTool({ name, arguments: input })
      const [first] = content as { type: string; text?: string }[]
      if (isError || first?.text === undefined) {
        throw new ProxyError('TOOL_FAILED', first?.text ?? `The tool "${name}" returned no text`)
      }
      return first.text
    },
    close: () => client.close(),
  }
}

function describeTokens(tokens: OAuthTokens | undefined): string {
  const scope = tokens?.scope === undefined ? '' : ` for ${tokens.scope}`
  const life = tokens?.expires_in === undefined ? '' : `, valid for ${tokens.expires_in} s`
  return `an access token${scope}${life}`
}

async function callWithoutToken(url: string, fetch: Fetch): Promise<string> {
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
  })
  await answer.body?.cancel()
  const challenge = answer.headers.get('www-authenticate') ?? ''
  const metadata = /resource_metadata="([^"]+)"/.exec(challenge)?.[1]
  if (answer.status !== 401 || metadata === undefined) {
    const message = `Without a token it answered ${answer.status}, not 401 with resource metadata`
    throw new ProxyError('PROTOCOL_INVALID', message)
  }
  return metadata
}

const MOST_REDIRECTS = 10

/**
 * Acts as the browser of a user who is already signed in: opens the authorization URL and follows
 * redirects up to the client's own redirect URL, which is not opened.
 *
 * It fills in no form, so it fails at a page that waits for a person.
 *
 * @param redirectUrl The client's redirect URL, without query.
 * @returns The redirect URL with the query of the response.
 * @throws {ProxyError} `SIGN_IN_FAILED`
 * @see [RFC 6749 §4.1](https://www.rfc-editor.org/rfc/rfc6749#section-4.1) Authorization Code Grant
 */
export async function followAuthorization(
  url: URL,
  redirectUrl: string,
  fetch: typeof globalThis.fetch,
): Promise<URL> {
  let current = url
  for (let hops = 0; hops < MOST_REDIRECTS; hops += 1) {
    if (!/^https?:$/.test(current.protocol)) {
      throw failed(`was redirected to a "${current.protocol}" URL`)
    }
    const answer = await fetch(current, { redirect: 'manual', headers: { accept: 'text/html' } })
    await answer.body?.cancel()
    const location = answer.headers.get('location')
    if (answer.status < 300 || answer.status > 399 || location === null) {
      throw failed(`got status ${answer.status} instead of a redirect`)
    }
    if (!URL.canParse(location, current.href)) throw failed('got a redirect without a valid URL')
    current = new URL(location, current)
    if (`${current.origin}${current.pathname}` === redirectUrl) return current
  }
  throw failed(`was redirected more than ${MOST_REDIRECTS} times`)
}

/**
 * Reads the authorization code from the redirect URL.
 *
 * @param state The `state` that the client sent.
 * @throws {ProxyError} `SIGN_IN_FAILED`
 */
export function readCallback({ searchParams }: URL, state: string): string {
  if (searchParams.get('state') !== state) throw failed('came back with another "state"')
  const error = searchParams.get('error')
  if (error !== null) {
    const why = searchParams.get('error_description') ?? error
    throw failed(`was refused: ${JSON.stringify(why)}`)
  }
  const code = searchParams.get('code')
  if (code === null) throw failed('came back without a code')
  return code
}

function failed(what: string): ProxyError {
  return new ProxyError('SIGN_IN_FAILED', `The sign-in ${what}`)
}

/** An OAuth client that is stored in memory only. */
interface MemoryOAuthProvider extends OAuthClientProvider {
  /** The one `state` of this sign-in. */
  readonly expectedState: string
  /** The URL to open in a browser; `undefined` until sign-in begins. */
  readonly authorizationUrl: URL | undefined
  readonly clientId: string | undefined
  readonly savedTokens: OAuthTokens | undefined
}

/**
 * Creates an OAuth client for one sign-in: it registers itself dynamically, uses PKCE and opens no
 * browser, but keeps the authorization URL for the caller.
 *
 * @see [RFC 7591](https://www.rfc-editor.org/rfc/rfc7591) Dynamic Client Registration
 */
export function createMemoryOAuthProvider(
  clientName: string,
  redirectUrl: string,
): MemoryOAuthProvider {
  const expectedState = randomBytes(16).toString('base64url')
  const clientMetadata: OAuthClientMetadata & { application_type: string } = {
    client_name: clientName,
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
    application_type: 'native',
  }
  let client: OAuthClientInformationMixed | undefined
  let tokens: OAuthTokens | undefined
  let verifier = ''
  let authorizationUrl: URL | undefined
  return {
    redirectUrl,
    clientMetadata,
    expectedState,
    get authorizationUrl() {
      return authorizationUrl
    },
    get clientId() {
      return client?.client_id
    },
    get savedTokens() {
      return tokens
    },
    state: () => expectedState,
    clientInformation: () => client,
    saveClientInformation(information) {
      client = information
    },
    tokens: () => tokens,
    saveTokens(saved) {
      tokens = saved
    },
    redirectToAuthorization(url) {
      authorizationUrl = url
    },
    saveCodeVerifier(saved) {
      verifier = saved
    },
    codeVerifier: () => verifier,
  }
}
