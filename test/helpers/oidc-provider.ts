import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
// @ts-expect-error: the package has no types
import Provider from 'oidc-provider'

interface Client {
  grantTypeAllowed(type: string): boolean
}

export interface Oidc {
  readonly issuer: string
  /** Follows a sign-in URL as a user who agrees to everything, up to the redirect to the client. */
  agree(url: string): Promise<Response>
  /** Enters a user code and agrees. */
  enterCode(url: string): Promise<void>
  /** Forgets every consent, so that no refresh token is good any more. */
  forgetGrants(): Promise<void>
  readonly counts: { refreshes: number; registrations: number; tokenRequests: URLSearchParams[] }
  close(): Promise<void>
}

/** Starts the certified provider with registration, rotation, codes, revocation and resources. */
export async function startOidc(resource: string): Promise<Oidc> {
  let handle: (request: IncomingMessage, response: ServerResponse) => void = () => {}
  const server: Server = createServer((request, response) => handle(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const counts: Oidc['counts'] = { refreshes: 0, registrations: 0, tokenRequests: [] }
  const provider = new Provider(issuer, {
    scopes: ['offline_access'],
    pkce: { required: () => true },
    issueRefreshToken: async (_context: unknown, client: Client) =>
      client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    ttl: { AccessToken: 600, RefreshToken: 3_600, Interaction: 60, Session: 60, Grant: 3_600 },
    findAccount: async (_context: unknown, id: string) => ({
      accountId: id,
      claims: async () => ({ sub: id }),
    }),
    cookies: { keys: ['test'] },
    features: {
      devInteractions: { enabled: false },
      registration: { enabled: true },
      revocation: { enabled: true },
      deviceFlow: { enabled: true },
      dPoP: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'mcp:use',
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  })
  provider.on('grant.success', ({ oidc }: { oidc: { params?: Record<string, unknown> } }) => {
    if (oidc.params?.['grant_type'] === 'refresh_token') counts.refreshes++
  })
  const grants = new Set<string>()
  provider.on('grant.success', ({ oidc }: { oidc: { entities: { Grant?: { jti: string } } } }) => {
    if (oidc.entities.Grant !== undefined) grants.add(oidc.entities.Grant.jti)
  })
  provider.on('registration_create.success', () => {
    counts.registrations++
  })
  provider.on('server_error', (_context: unknown, error: Error) => console.error(error))
  const callback = provider.callback()
  handle = async (request, response) => {
    if (!request.url?.startsWith('/interaction/')) return callback(request, response)
    const details = await provider.interactionDetails(request, response)
    const { prompt, params, grantId, session } = details
    if (prompt.name === 'login') {
      await provider.interactionFinished(request, response, { login: { accountId: 'dana' } })
      return
    }
    const grant =
      (grantId && (await provider.Grant.find(grantId))) ||
      new provider.Grant({
        accountId: session?.accountId ?? '',
        clientId: String(params['client_id']),
      })
    grant.addOIDCScope('openid offline_access')
    grant.addResourceScope(resource, 'mcp:use')
    await provider.interactionFinished(
      request,
      response,
      { consent: { grantId: await grant.save() } },
      { mergeWithLastSubmission: true },
    )
  }

  /** A browser with cookies that stops at the first address outside the provider. */
  const follow = async (
    start: string,
    jar = new Map<string, string>(),
    init: RequestInit = {},
  ): Promise<Response> => {
    let [url, request] = [start, init]
    for (;;) {
      const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
      const response = await fetch(url, {
        ...request,
        redirect: 'manual',
        headers: { ...request.headers, cookie },
      })
      for (const line of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
        jar.set(name, value)
      }
      const location = response.headers.get('location')
      if (location === null) return response
      url = new URL(location, url).href
      request = {}
      if (!url.startsWith(issuer)) return fetch(url)
    }
  }

  return {
    issuer,
    counts,
    agree: (url) => follow(url),
    async forgetGrants() {
      for (const id of grants) await (await provider.Grant.find(id))?.destroy()
    },
    async enterCode(url) {
      const jar = new Map<string, string>()
      let page = await (await follow(url, jar)).text()
      for (let step = 0; step < 3 && page.includes('<form'); step++) {
        const action = /action="([^"]+)"/.exec(page)?.[1] ?? url
        const fields = [...page.matchAll(/<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"/g)].map(
          ([, name = '', value = '']) => [name, value],
        )
        const body = new URLSearchParams(Object.fromEntries(fields))
        body.set('user_code', new URL(url).searchParams.get('user_code') ?? '')
        body.set('confirm', 'yes')
        page = await (await follow(action, jar, { method: 'POST', body })).text()
      }
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
