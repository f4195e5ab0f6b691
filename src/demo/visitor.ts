import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import type { OAuthTokens } from '@modelcontextprotocol/sdk/shared/auth.js'
import type { Transport } from '@modelcontextprotocol/sdk/shared/transport.js'
import { ProxyError } from '../util/errors.js'
import { followAuthorization, readCallback } from './browser.js'
import { createMemoryOAuthProvider } from './oauth-provider.js'

type Fetch = typeof globalThis.fetch

/** A real MCP client that comes to a protected server without knowing anything about it. */
export interface Visitor {
  /** Calls without a token; resolves with the URL of the resource metadata in the refusal. */
  knock(): Promise<string>
  /** Finds the authorization server and registers there; tells the client id and the server. */
  register(): Promise<string>
  /** Lets the browser sign in and trades the code for tokens; tells what they are good for. */
  signIn(): Promise<string>
  /** Opens the MCP session with the token; tells who is there. */
  connect(): Promise<string>
  listTools(): Promise<string[]>
  /** Calls a tool; resolves with the text of its result. */
  callTool(name: string, input: Record<string, unknown>): Promise<string>
  close(): Promise<void>
}

const REDIRECT_URL = 'http://127.0.0.1:28682/callback'
const CLIENT = { name: 'demo-client', title: 'Demo client', version: '1.0.0' }

/** Creates a visitor of the MCP server at `url`. Its steps must be taken in their order. */
export function createVisitor(url: string, fetch: Fetch): Visitor {
  const provider = createMemoryOAuthProvider(CLIENT.title, REDIRECT_URL)
  const client = new Client(CLIENT)
  const createTransport = () =>
    new StreamableHTTPClientTransport(new URL(url), { authProvider: provider, fetch })

  return {
    knock: () => knock(url, fetch),
    async register() {
      try {
        await new Client(CLIENT).connect(createTransport() as Transport)
      } catch (error) {
        if (!(error instanceof UnauthorizedError)) throw error
      }
      const { clientId, authorizationUrl } = provider
      if (clientId === undefined || authorizationUrl === undefined) {
        throw new ProxyError('PROTOCOL_INVALID', 'The server did not ask for a sign-in')
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
      const { name, version } = client.getServerVersion() ?? { name: 'nobody', version: '' }
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

async function knock(url: string, fetch: Fetch): Promise<string> {
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
