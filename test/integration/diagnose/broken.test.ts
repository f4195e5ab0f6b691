import { createServer } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  type Identity,
  type IdentityInput,
  startIdentity,
} from '../../../src/demo/identity/index.js'
import { createClock } from '../../../src/util/async.js'
import { type Certificates, createCertificates } from '../../helpers/certificates.js'
import { check, serveWith } from '../../helpers/check.js'
import { freePort } from '../../helpers/sign-in.js'
import { tool } from '../../helpers/targets/contents.js'
import { type Guard, startGuardedTarget } from '../../helpers/targets/guarded.js'
import { type Mode, startHostileTarget } from '../../helpers/targets/hostile.js'
import { startOlderTarget } from '../../helpers/targets/older.js'
import { type RecordingOptions, startRecordingTarget } from '../../helpers/targets/recording.js'

const SECRET = 'client-secret-7Qx'

const CLIENT = {
  MCP_DESCOPE_CLIENT_ID: 'machine',
  MCP_DESCOPE_CLIENT_SECRET: SECRET,
}

const closing: (() => Promise<unknown> | unknown)[] = []

let shared: Identity

let certificates: Certificates

beforeAll(async () => {
  certificates = await createCertificates()
  const clients = [{ clientId: 'machine', clientSecret: SECRET }]
  shared = await startIdentity({ clock: createClock(), clients })
})

afterAll(() => shared.close())

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

interface Broken {
  name: string
  start: () => Promise<string | Setup> | string
  id: string
  hint: string
  detail?: string
  outcome?: 'fail' | 'warn'
  status: number
}

interface Setup {
  url: string
  args?: string[]
  env?: Record<string, string>
}

async function emulator(options: IdentityInput = {}) {
  if (Object.keys(options).length === 0) return shared
  const clients = [{ clientId: 'machine', clientSecret: SECRET }]
  const identity = await startIdentity({ clock: createClock(), clients, ...options })
  closing.push(identity.close)
  return identity
}

async function guarded(
  guard: Guard = {},
  env: Record<string, string> = {},
  options: IdentityInput = {},
) {
  const target = await startGuardedTarget(await emulator(options), guard)
  closing.push(target.close)
  return { url: target.url, env }
}

async function recording(options: RecordingOptions): Promise<string> {
  const target = await startRecordingTarget(options)
  closing.push(target.close)
  return target.url
}

async function hostile(mode: Mode, on?: string): Promise<string> {
  const target = await startHostileTarget()
  closing.push(target.close)
  return target.at(mode, on)
}

async function served(...args: Parameters<typeof serveWith>) {
  const server = await serveWith(...args)
  closing.push(server.close)
  return server
}

const tls = (cert: string) => served((_q, r) => void r.end('{}'), { cert, key: certificates.key })

/** An authorization server with one document. */
const issuerWith = async (change: (document: Record<string, unknown>) => object) => {
  const real = await emulator()
  const server = await served(async (request, response) => {
    const path = request.url ?? ''
    if (!path.startsWith('/.well-known/')) return void response.writeHead(404).end()
    const document = (await (await fetch(real.configUrl)).json()) as Record<string, unknown>
    const origin = `http://localhost:${server.port}`
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(change({ ...document, issuer: origin })))
  })
  const target = await startGuardedTarget(real, {
    metadata: (resource) => ({
      resource,
      authorization_servers: [`http://localhost:${server.port}`],
    }),
  })
  closing.push(target.close)
  return { url: target.url, env: CLIENT }
}

const withToken = async (claims: Record<string, unknown>, accepts: (token: string) => boolean) => {
  const setup = await guarded({ accepts })
  return {
    ...setup,
    env: { MCP_DESCOPE_TOKEN: await shared.mint({ aud: [setup.url], ...claims }) },
  }
}

const NUMBERS = {
  type: 'object',
  properties: { 'a b': { type: 'array', items: { type: 'number' } } },
}

const structured = async (outputSchema: object, structuredContent: unknown) => ({
  url: await recording({
    tools: [{ name: 'echo', inputSchema: { type: 'object' }, outputSchema }],
    handlers: { 'tools/call': () => ({ content: [], structuredContent }) },
  }),
  args: ['--call', 'echo'],
})

const BROKEN: Broken[] = [
  // The way there
  {
    name: 'a wrong port',
    start: async () => `http://127.0.0.1:${await freePort()}/mcp`,
    id: 'reach.tcp',
    hint: 'Start the server, or correct host and port: `curl -v <url>`.',
    status: 4,
  },
  {
    name: 'a host that does not exist',
    start: () => 'https://no-such-host.invalid/mcp',
    id: 'reach.dns',
    hint: 'Check the name and the network: `nslookup <host>`.',
    status: 4,
  },
  {
    name: 'an expired certificate',
    start: async () => ({
      url: (await tls(certificates.expired)).url,
      args: ['--ca', certificates.caFile],
    }),
    id: 'reach.tls',
    hint: 'Renew the certificate of the server, or correct the clock here: `date`.',
    status: 4,
  },
  {
    name: 'a certificate for another host',
    start: async () => ({
      url: (await tls(certificates.foreign)).url,
      args: ['--ca', certificates.caFile],
    }),
    id: 'reach.tls',
    hint: 'Use the host name that it is for',
    status: 4,
  },
  {
    name: 'a self-signed certificate',
    start: async () => (await tls(certificates.selfSigned)).url,
    id: 'reach.tls',
    hint: 'Give the certificate of the authority that signed it: `--ca <file.pem>`.',
    status: 4,
  },
  {
    name: 'a certificate that expires soon',
    start: async () => ({
      url: (await tls(certificates.cert)).url,
      args: ['--ca', certificates.caFile],
    }),
    id: 'reach.tls',
    detail: ', 0 days left',
    hint: 'Renew the certificate of the server before it expires.',
    outcome: 'warn',
    status: 6,
  },
  {
    name: 'https where http is spoken',
    start: async () => {
      const { port } = await served((_q, r) => void r.end())
      return `https://127.0.0.1:${port}/mcp`
    },
    id: 'reach.tls',
    hint: 'Check whether the server takes http or https: `curl -v <url>`.',
    status: 4,
  },
  {
    name: 'http where TLS is spoken',
    start: async () => `http://127.0.0.1:${(await tls(certificates.cert)).port}/mcp`,
    id: 'reach.tls',
    hint: 'Write https:// instead of http:// in the URL',
    status: 4,
  },
  {
    name: 'a port that speaks no HTTP',
    start: async () => {
      const server = createServer((socket) => {
        socket.on('error', () => undefined)
        socket.end('220 mail.example ESMTP\r\n')
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      closing.push(() => server.close())
      return `http://127.0.0.1:${(server.address() as { port: number }).port}/mcp`
    },
    id: 'protocol.legacy',
    hint: 'Check whether the port speaks HTTP',
    status: 6,
  },
  {
    name: 'no answer',
    start: async () => ({ url: await hostile('hang-before-headers'), args: ['--timeout', '0.5'] }),
    id: 'protocol.legacy',
    detail: 'did not answer within 0.5 s',
    hint: '--timeout',
    status: 4,
  },
  {
    name: 'connections that are reset',
    start: () => hostile('reset-before-headers'),
    id: 'protocol.legacy',
    hint: 'Look into the log of the server',
    status: 4,
  },

  // Who issues tokens
  {
    name: 'metadata of another resource',
    start: () =>
      guarded({
        metadata: (_url, issuer) => ({
          resource: 'https://x.example/mcp',
          authorization_servers: [issuer],
        }),
      }),
    id: 'auth.prm',
    hint: 'have its "resource" corrected',
    status: 3,
  },
  {
    name: 'metadata that is not where the challenge says',
    start: () => guarded({ metadata: undefined }, CLIENT),
    id: 'auth.prm',
    hint: 'have its "resource_metadata" corrected',
    status: 1,
  },
  {
    name: 'no authorization server in the metadata',
    start: () => guarded({ metadata: (resource) => ({ resource }) }, CLIENT),
    id: 'auth.prm',
    hint: 'Name the issuer there; with Descope, the one of the MCP server',
    status: 1,
  },
  {
    name: 'metadata of the whole origin',
    start: () =>
      guarded(
        {
          metadata: (url, issuer) => ({
            resource: new URL(url).origin,
            authorization_servers: [issuer],
          }),
        },
        CLIENT,
      ),
    id: 'auth.prm',
    hint: 'strict clients require the same URL',
    outcome: 'warn',
    status: 0,
  },
  {
    name: 'a relative resource_metadata',
    start: () => guarded({ challenge: () => 'Bearer resource_metadata="/metadata"' }, CLIENT),
    id: 'auth.challenge',
    hint: 'Write an absolute URL there',
    status: 1,
  },
  {
    name: '401 without a challenge and without metadata',
    start: () => guarded({ challenge: undefined, metadata: undefined }, CLIENT),
    id: 'auth.challenge',
    hint: 'Add the header `WWW-Authenticate: Bearer`',
    status: 1,
  },
  {
    name: '401 without a challenge, with metadata',
    start: () => guarded({ challenge: undefined }, CLIENT),
    id: 'auth.challenge',
    hint: '`resource_metadata="<absolute URL>"` to the 401.',
    outcome: 'warn',
    status: 0,
  },
  {
    name: 'Basic instead of Bearer',
    start: () => guarded({ challenge: () => 'Basic realm="x"' }, CLIENT),
    id: 'auth.challenge',
    hint: 'Let the server require Bearer',
    status: 1,
  },
  {
    name: 'a server that refuses everything with 403',
    start: () => guarded({ status: 403, accepts: () => false }, CLIENT),
    id: 'auth.challenge',
    hint: 'clients sign in at a 401 only',
    status: 1,
  },
  {
    name: 'another issuer in the metadata of the authorization server',
    start: () => issuerWith((document) => ({ ...document, issuer: 'https://other.example' })),
    id: 'auth.as-metadata',
    hint: 'Correct "authorization_servers" to the issuer, to the letter',
    status: 1,
  },
  {
    name: 'an authorization server without PKCE',
    start: () =>
      issuerWith((document) => ({ ...document, code_challenge_methods_supported: ['plain'] })),
    id: 'auth.as-metadata',
    hint: 'Switch PKCE on at the authorization server',
    status: 1,
  },
  {
    name: 'an authorization server without registration',
    start: async () => ({
      ...(await issuerWith(({ registration_endpoint: _gone, ...document }) => document)),
      env: {},
    }),
    id: 'auth.as-metadata',
    hint: 'not of the project',
    outcome: 'warn',
    status: 3,
  },
  {
    name: 'an authorization server without metadata',
    start: () => issuerWith(() => []),
    id: 'auth.as-metadata',
    hint: 'it holds the issuer, from which clients derive the URL of its metadata',
    status: 1,
  },
  {
    name: 'an authorization server that is down',
    start: async () => {
      const port = await freePort()
      return guarded(
        {
          metadata: (resource) => ({
            resource,
            authorization_servers: [`http://127.0.0.1:${port}`],
          }),
        },
        CLIENT,
      )
    },
    id: 'auth.as-metadata',
    hint: 'Check the address, DNS, and whether a firewall',
    status: 4,
  },

  // Tokens
  {
    name: 'nobody who signed in',
    start: () => guarded(),
    id: 'auth.token',
    hint: 'Run `mcp-descope-proxy login <url>`; in CI, set MCP_DESCOPE_CLIENT_ID',
    status: 3,
  },
  {
    name: 'a wrong client secret',
    start: () => guarded({}, { ...CLIENT, MCP_DESCOPE_CLIENT_SECRET: 'wrong-secret-9' }),
    id: 'auth.token',
    hint: 'Check MCP_DESCOPE_CLIENT_ID and MCP_DESCOPE_CLIENT_SECRET.',
    status: 3,
  },
  {
    name: 'E063316: a client without a Policy',
    start: () =>
      guarded({}, CLIENT, {
        clients: [{ clientId: 'machine', clientSecret: SECRET, policy: false }],
      }),
    id: 'auth.token',
    detail: 'E063316',
    hint: 'In Descope, give the client access: Agentic Identity Hub > Policies',
    status: 3,
  },
  {
    name: 'a scope that does not exist',
    start: async () => ({ ...(await guarded({}, CLIENT)), args: ['--scope', 'no:such'] }),
    id: 'auth.token',
    hint: 'Request scopes that the MCP server has',
    status: 3,
  },
  {
    name: 'an expired token',
    start: () => withToken({ exp: 1_700_000_000, iat: 1_600_000_000 }, () => false),
    id: 'auth.token',
    hint: 'The token has expired: get a new one.',
    status: 3,
  },
  {
    name: 'a token for another audience',
    start: () => withToken({ aud: ['https://other.example/mcp'] }, () => false),
    id: 'auth.token',
    hint: 'in Descope, set the MCP Server URL to that',
    status: 3,
  },
  {
    name: 'a token of another issuer',
    start: () => withToken({ iss: 'https://other.example' }, () => false),
    id: 'auth.token',
    hint: 'have the server accept that issuer',
    status: 3,
  },
  {
    name: "another form of Descope's issuer",
    start: () => withToken({}, () => false),
    id: 'auth.token',
    hint: 'Descope signs the tokens of one project under several issuers: have the server accept http',
    status: 3,
  },
  {
    name: 'a token with a broken signature',
    start: async () => {
      const challenge = (origin: string) =>
        `Bearer error="invalid_token", error_description="The signature of the access token is wrong", resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`
      const setup = await guarded({ accepts: () => false, challenge })
      const token = await shared.mint({ aud: [setup.url] })
      const broken = `${token.slice(0, token.lastIndexOf('.') + 1)}${'A'.repeat(342)}`
      return { ...setup, env: { MCP_DESCOPE_TOKEN: broken } }
    },
    id: 'auth.token',
    hint: 'The token was changed or cut off after it was signed, or another key signed it',
    status: 3,
  },
  {
    name: 'a token with its scheme before it',
    start: async () => {
      const setup = await withToken({}, () => false)
      return { ...setup, env: { MCP_DESCOPE_TOKEN: `Bearer ${setup.env.MCP_DESCOPE_TOKEN}` } }
    },
    id: 'auth.token',
    hint: 'Write the token alone into MCP_DESCOPE_TOKEN, without "Bearer" before it.',
    status: 3,
  },
  {
    name: 'a token that lacks scopes',
    start: () =>
      guarded(
        {
          accepts: () => false,
          challenge: (origin) =>
            `Bearer error="insufficient_scope", scope="mcp:admin", resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`,
          badTokenStatus: 403,
        },
        { MCP_DESCOPE_TOKEN: 'opaque-token-1234' },
      ),
    id: 'auth.token',
    hint: 'Get a token with the scopes "mcp:admin"',
    status: 3,
  },
  {
    name: 'a static token that is refused',
    start: () => guarded({ accepts: () => false }, { TARGET_TOKEN: 'static-token-55' }),
    id: 'auth.token',
    hint: 'Set TARGET_TOKEN to the credential that the server takes.',
    status: 3,
  },

  // What must be refused
  {
    name: 'a server that needs no token although one is configured',
    start: async () => ({ url: await recording({}), env: { TARGET_TOKEN: 'static-token-55' } }),
    id: 'auth.rejects-no-token',
    hint: 'Check the token on every request',
    status: 1,
  },
  {
    name: 'a server that says it is protected and is not',
    start: () => guarded({ acceptsNone: true }),
    id: 'auth.rejects-no-token',
    hint: 'Check the token on every request',
    status: 1,
  },
  {
    name: 'a server that does not verify signatures',
    start: () => guarded({ accepts: (token) => token.split('.').length === 3 }, CLIENT),
    id: 'auth.rejects-bad-token',
    hint: 'Verify the signature of each token with the keys of the issuer',
    status: 1,
  },
  {
    name: 'a server that takes any static token',
    start: () => guarded({ accepts: () => true }, { TARGET_TOKEN: 'static-token-55' }),
    id: 'auth.rejects-bad-token',
    hint: 'Verify each token before anything else.',
    status: 1,
  },
  {
    name: 'a server that fails at a broken token',
    start: () => guarded({ badTokenStatus: 500 }, CLIENT),
    id: 'auth.rejects-bad-token',
    detail: '500 to a broken token',
    hint: 'Answer 401 with WWW-Authenticate',
    status: 1,
  },
  {
    name: 'a server that answers a broken token with 403',
    start: () => guarded({ badTokenStatus: 403 }, CLIENT),
    id: 'auth.rejects-bad-token',
    hint: 'clients sign in or refresh at a 401 only',
    outcome: 'warn',
    status: 0,
  },

  // What answers is not MCP
  {
    name: "Vercel's deployment protection",
    start: async () => {
      const { url } = await served((_q, response) => {
        response.setHeader('set-cookie', '_vercel_sso_nonce=abc; Path=/; HttpOnly')
        response.writeHead(401, { 'content-type': 'text/html' })
        response.end('<!doctype html><title>Authentication Required</title>')
      })
      return url
    },
    id: 'auth.challenge',
    hint: `x-vercel-protection-bypass: $\{VERCEL_AUTOMATION_BYPASS_SECRET}`,
    status: 6,
  },
  {
    name: "Cloudflare's challenge",
    start: async () => {
      const { url } = await served((_q, response) => {
        response.writeHead(403, { 'cf-mitigated': 'challenge', 'content-type': 'text/html' })
        response.end('<html><title>Just a moment...</title></html>')
      })
      return url
    },
    id: 'auth.challenge',
    hint: 'Let this client past it: a service token as --header',
    status: 6,
  },
  {
    name: 'an HTML login page',
    start: () => hostile('login-page'),
    id: 'protocol.legacy',
    detail: 'the answer is an HTML page "Sign in", not MCP',
    hint: 'let programs past the page',
    status: 6,
  },
  {
    name: 'a redirect to a login page',
    start: () => hostile('redirect-302'),
    id: 'protocol.legacy',
    hint: 'Use the URL that it redirects to',
    status: 6,
  },
  {
    name: 'a wrong path',
    start: () => hostile('not-found'),
    id: 'protocol.legacy',
    hint: 'most servers use /mcp',
    status: 6,
  },
  {
    name: '502 with "404" in its body',
    start: () => hostile('bad-gateway-html'),
    id: 'protocol.legacy',
    detail: 'HTTP 502',
    hint: 'Start the server behind the gateway',
    status: 4,
  },
  {
    name: '503 from the server itself',
    start: async () => {
      const { url } = await served((_q, response) => {
        const error = { code: -32000, message: 'starting' }
        response.writeHead(503, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error }))
      })
      return url
    },
    id: 'protocol.legacy',
    detail: 'is answered with the error -32000 "starting" (HTTP 503)',
    hint: 'Look into the log of the server.',
    status: 6,
  },
  {
    name: '500',
    start: () => hostile('server-error'),
    id: 'protocol.legacy',
    hint: 'Look into the log of the server.',
    status: 6,
  },
  {
    name: 'a rate limit',
    start: () => hostile('rate-limited'),
    id: 'protocol.legacy',
    hint: 'raise its rate limit',
    status: 6,
  },
  {
    name: 'a JSON-RPC error under HTTP 200',
    start: () =>
      recording({
        handlers: {
          initialize: () => {
            throw new Error('the database is gone')
          },
        },
      }),
    id: 'protocol.legacy',
    detail: 'is answered with the error -32603',
    hint: 'Look into the log of the server.',
    status: 6,
  },
  {
    name: 'another API',
    start: () => hostile('other-shape'),
    id: 'protocol.legacy',
    hint: 'Check that the URL is the MCP endpoint',
    status: 6,
  },
  {
    name: 'a response with another id',
    start: () => hostile('wrong-id', 'initialize'),
    id: 'protocol.legacy',
    hint: 'Answer with the id of the request',
    status: 6,
  },
  {
    name: 'a stream that ends too early',
    start: () => hostile('empty-stream', 'initialize'),
    id: 'protocol.legacy',
    hint: 'Send the response before the stream ends.',
    status: 6,
  },
  {
    name: '202 to a request',
    start: () => hostile('accepted', 'initialize'),
    id: 'protocol.legacy',
    hint: '202 is for notifications only',
    status: 6,
  },
  {
    name: 'an unknown version',
    start: () => recording({ versions: ['1999-12-31'] }),
    id: 'protocol.legacy',
    hint: 'Answer with the requested version',
    status: 6,
  },
  {
    name: 'a server of HTTP+SSE only',
    start: async () => {
      const target = await startOlderTarget()
      closing.push(target.close)
      return target.url
    },
    id: 'protocol.legacy',
    hint: 'Let the server speak Streamable HTTP',
    outcome: 'warn',
    status: 0,
  },

  // Contents
  {
    name: 'a tool whose schema is no object schema',
    start: () => recording({ tools: [{ name: 'a', inputSchema: { type: 'string' } }] }),
    id: 'protocol.schema',
    detail: 'tools/list: result.tools[0].inputSchema.type',
    hint: 'Correct what the server sends there',
    status: 6,
  },
  {
    name: 'a tool result of an unknown kind',
    start: async () => ({
      url: await recording({
        handlers: { 'tools/call': () => ({ content: [{ type: 'text', text: 7 }] }) },
      }),
      args: ['--call', 'echo'],
    }),
    id: 'protocol.schema',
    detail: 'tools/call: result.content[0].text',
    hint: 'Correct what the server sends there',
    status: 6,
  },
  {
    name: 'structured content that is missing',
    start: () => structured(NUMBERS, undefined),
    id: 'tools.call:echo',
    detail: 'no "structuredContent", although the tool has an "outputSchema"',
    hint: 'Return "structuredContent" that fits the schema.',
    status: 6,
  },
  {
    name: 'structured content that does not fit',
    start: () => structured(NUMBERS, { 'a b': [1, 'two'] }),
    id: 'tools.call:echo',
    detail: 'result.structuredContent["a b"][1] must be number',
    hint: 'Return a result that fits the "outputSchema"',
    status: 6,
  },
  {
    name: 'a schema of results that is none',
    start: () => structured({ type: 'object', properties: { a: { $ref: '#/$defs/b' } } }, {}),
    id: 'tools.call:echo',
    detail: "cannot be used: can't resolve reference #/$defs/b",
    hint: 'Correct the schema: clients compile it',
    status: 6,
  },
  {
    name: 'tools that are no list',
    start: () => recording({ handlers: { 'tools/list': () => ({ tools: 'none' }) } }),
    id: 'tools.list',
    hint: 'Answer tools/list with a list in "tools"',
    status: 6,
  },
  {
    name: 'pages that go in circles',
    start: () =>
      recording({ handlers: { 'tools/list': () => ({ tools: [], nextCursor: 'again' }) } }),
    id: 'tools.list',
    hint: 'Leave "nextCursor" out on the last page.',
    status: 6,
  },
  {
    name: 'an empty list of tools',
    start: () => recording({ capabilities: { tools: {} }, tools: [] }),
    id: 'tools.list',
    hint: 'scopes and policies can hide tools',
    outcome: 'warn',
    status: 0,
  },
  {
    name: 'a name that is too long',
    start: () => recording({ tools: [tool('n'.repeat(129))] }),
    id: 'tools.names',
    detail: '129 characters',
    hint: 'Use 1 to 128 characters',
    status: 1,
  },
  {
    name: 'a name that is too long for clients',
    start: () => recording({ tools: [tool('n'.repeat(57))] }),
    id: 'tools.names',
    hint: 'gives such tools an alias',
    outcome: 'warn',
    status: 0,
  },
  {
    name: 'two tools of one name',
    start: () => recording({ tools: [tool('a'), tool('a')] }),
    id: 'tools.names',
    hint: 'Give each tool a name of its own.',
    status: 1,
  },
  {
    name: 'resources that cannot be listed',
    start: () =>
      recording({
        resources: [{ uri: 'x://y', name: 'y' }],
        handlers: {
          'resources/list': () => {
            throw new Error('no')
          },
        },
      }),
    id: 'resources.list',
    hint: 'Look into the log of the server.',
    status: 6,
  },
]

describe('a set-up that is broken by', () => {
  it('is one of many', () => {
    expect(BROKEN.length).toBeGreaterThanOrEqual(30)
  })

  it.each(BROKEN)(
    '$name: $id',
    async ({ start, id, hint, detail = '', outcome = 'fail', status }) => {
      const started = await start()
      const { url, args = [], env = {} } = typeof started === 'string' ? { url: started } : started
      const run = await check(url, args, { env })
      expect(run.of(id)).toMatchObject({
        outcome,
        detail: expect.stringContaining(detail),
        hint: expect.stringContaining(hint),
      })
      expect(run.status).toBe(status)
      const all = run.stdout + run.stderr
      expect(all).not.toMatch(/unknown|itself failed/)
      for (const secret of [...Object.values(env), SECRET]) {
        if (secret !== 'machine') expect(all).not.toContain(secret)
      }
    },
  )
})
