import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { JsonObject } from '../../src/util/json.js'

export interface TokenRequest {
  readonly headers: IncomingHttpHeaders
  readonly form: Record<string, string>
}

interface Reply {
  readonly status: number
  /** Sent as it is when it is a text. */
  readonly body: unknown
}

/** An authorization server that agrees to everything, and of which a test may change each answer. */
export interface ScriptedIssuer {
  readonly issuer: string
  /** Its metadata, to be changed. */
  readonly metadata: JsonObject
  /** Answers by path, in place of the usual ones. */
  readonly pages: Map<string, Reply>
  readonly asked: string[]
  readonly registrations: JsonObject[]
  readonly authorizations: URLSearchParams[]
  readonly tokenRequests: TokenRequest[]
  register: (request: JsonObject, id: string) => Reply
  token: (request: TokenRequest) => Reply
  close(): Promise<void>
}

export async function startScriptedIssuer(): Promise<ScriptedIssuer> {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', issuer.issuer)
    let body = ''
    for await (const chunk of request) body += String(chunk)
    issuer.asked.push(url.pathname)
    const page = issuer.pages.get(url.pathname)
    if (page !== undefined) return send(response, page)
    if (url.pathname === '/.well-known/oauth-authorization-server') {
      return send(response, { status: 200, body: issuer.metadata })
    }
    if (url.pathname === '/register') {
      issuer.registrations.push(JSON.parse(body))
      const id = `client-${issuer.registrations.length}`
      return send(response, issuer.register(JSON.parse(body), id))
    }
    if (url.pathname === '/authorize') {
      issuer.authorizations.push(url.searchParams)
      const back = new URL(url.searchParams.get('redirect_uri') ?? '')
      back.searchParams.set('code', 'a-code')
      back.searchParams.set('state', url.searchParams.get('state') ?? '')
      return void response.writeHead(302, { location: back.href }).end()
    }
    if (url.pathname === '/token') {
      const form = Object.fromEntries(new URLSearchParams(body))
      issuer.tokenRequests.push({ headers: request.headers, form })
      return send(response, issuer.token({ headers: request.headers, form }))
    }
    send(response, { status: 404, body: 'nothing here' })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let tokens = 0
  const issuer: ScriptedIssuer = {
    issuer: origin,
    metadata: {
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      registration_endpoint: `${origin}/register`,
      code_challenge_methods_supported: ['S256'],
    },
    pages: new Map(),
    asked: [],
    registrations: [],
    authorizations: [],
    tokenRequests: [],
    register: (request, id) => ({ status: 201, body: { ...request, client_id: id } }),
    token: () => {
      tokens += 1
      const refresh_token = `refresh-${tokens}`
      return {
        status: 200,
        body: {
          access_token: `access-${tokens}`,
          token_type: 'Bearer',
          expires_in: 600,
          refresh_token,
        },
      }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return issuer
}

function send(response: ServerResponse, { status, body }: Reply): void {
  const isText = typeof body === 'string'
  const type = isText ? 'text/html' : 'application/json'
  response.writeHead(status, { 'content-type': type }).end(isText ? body : JSON.stringify(body))
}

/** What a request without a client secret in the body looks like: the header alone names the client. */
export function basicOf({ headers }: TokenRequest): string | undefined {
  const [, pair] = /^Basic (.+)$/.exec(headers.authorization ?? '') ?? []
  return pair === undefined ? undefined : Buffer.from(pair, 'base64').toString()
}
