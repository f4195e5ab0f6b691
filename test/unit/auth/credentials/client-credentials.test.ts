import { describe, expect, it } from 'vitest'
import { clientCredentials } from '../../../../src/auth/credentials/client-credentials.js'
import type { Caller } from '../../../../src/auth/credentials/credential.js'
import { createTestClock, type Handler, listen, sendJson } from '../support.js'

const UNAUTHORIZED = { status: 401, challenge: undefined } as const

const nobody: Caller = { principal: undefined, accessToken: undefined }

const CLIENT_ID = 'cl ient:ü/='

const SECRET = 's+e c:r%et&'

/** A small authorization server and target at one origin; options make it particular. */
async function setUp(options: {
  tokenUrl?: boolean
  accepts?: 'basic' | 'post'
  methods?: string[]
  refuse?: (form: URLSearchParams) => { status?: number; body: unknown } | undefined
  token?: Record<string, unknown>
  metadata?: Record<string, unknown>
  resourceMetadata?: Record<string, unknown>
  challenge?: string | false
  scope?: string
}) {
  const forms: { form: URLSearchParams; via: 'basic' | 'post' | 'none' }[] = []
  const handler: Handler = (request, response) => {
    const { base } = server
    switch (request.url) {
      case '/mcp': {
        const challenge =
          options.challenge ??
          `Basic realm="x", Bearer resource_metadata="${base}/meta", scope="tools:read"`
        if (challenge === false) return sendJson(response, {}, 404)
        response.writeHead(401, { 'www-authenticate': challenge })
        return void response.end()
      }
      case '/meta':
      case '/.well-known/oauth-protected-resource/mcp':
        return sendJson(response, {
          resource: `${base}/mcp`,
          authorization_servers: [`${base}/as`],
          scopes_supported: ['from:metadata'],
          ...options.resourceMetadata,
        })
      case '/.well-known/oauth-authorization-server/as':
        return sendJson(response, {
          issuer: `${base}/as`,
          authorization_endpoint: `${base}/as/authorize`,
          token_endpoint: `${base}/as/token`,
          code_challenge_methods_supported: ['S256'],
          ...(options.methods && { token_endpoint_auth_methods_supported: options.methods }),
          ...options.metadata,
        })
      case '/as/token':
        return token(request, response)
      default:
        return sendJson(response, {}, 404)
    }
  }
  const token: Handler = (request, response) => {
    const form = new URLSearchParams(request.text)
    const via = clientOf(request.headers.authorization, form)
    forms.push({ form, via })
    if (via !== (options.accepts ?? 'basic')) {
      return sendJson(response, { error: 'invalid_client' }, 401)
    }
    const refusal = options.refuse?.(form)
    if (refusal) return sendJson(response, refusal.body, refusal.status ?? 400)
    sendJson(response, {
      access_token: `token-${forms.length}`,
      token_type: 'Bearer',
      expires_in: 600,
      ...options.token,
    })
  }
  const server = await listen(handler)
  const clock = createTestClock()
  const credential = clientCredentials(
    {
      tokenUrl: options.tokenUrl ? `${server.base}/as/token` : undefined,
      clientId: CLIENT_ID,
      clientSecret: SECRET,
      scope: options.scope,
    },
    { runtime: { fetch, clock }, targetUrl: `${server.base}/mcp` },
  )
  return { credential, clock, forms, server, headers: async () => credential.headers(nobody) }
}

/** Tells how the right client authenticated, decoding as RFC 6749 §2.3.1 says. */
function clientOf(authorization: string | undefined, form: URLSearchParams) {
  const decode = (text = '') => decodeURIComponent(text.replaceAll('+', ' '))
  const basic = /^Basic (.+)$/.exec(authorization ?? '')?.[1]
  if (basic) {
    const [id, secret] = Buffer.from(basic, 'base64').toString('utf8').split(':').map(decode)
    return id === CLIENT_ID && secret === SECRET ? 'basic' : 'none'
  }
  return form.get('client_id') === CLIENT_ID && form.get('client_secret') === SECRET
    ? 'post'
    : 'none'
}

describe('client credentials', () => {
  it('finds the token endpoint from the 401 of the target and keeps the token', async () => {
    const { credential, headers, forms, clock, server } = await setUp({})
    expect(await headers()).toEqual({ authorization: 'Bearer token-1' })
    expect(forms.map(({ via }) => via)).toEqual(['basic'])
    expect(Object.fromEntries(forms[0]!.form)).toEqual({
      grant_type: 'client_credentials',
      resource: `${server.base}/mcp`,
      scope: 'tools:read',
    })
    clock.advance(539_999)
    expect(credential.headers(nobody)).toEqual({ authorization: 'Bearer token-1' })
    clock.advance(1)
    expect(await headers()).toEqual({ authorization: 'Bearer token-2' })
  })

  it('asks the target without any credential', async () => {
    const { headers, server } = await setUp({})
    await headers()
    for (const { path, headers: sent } of server.requests) {
      expect(sent.authorization === undefined).toBe(path !== '/as/token')
    }
  })

  it('finds it from the well-known metadata when there is no challenge', async () => {
    const { headers, forms } = await setUp({ challenge: false })
    expect(await headers()).toEqual({ authorization: 'Bearer token-1' })
    expect(forms[0]!.form.get('scope')).toBe('from:metadata')
  })

  it('uses the configured token endpoint and scope, and asks nobody else', async () => {
    const { headers, forms, server } = await setUp({ tokenUrl: true, scope: 'a b' })
    await headers()
    expect(server.requests.map(({ path }) => path)).toEqual(['/as/token'])
    expect(Object.fromEntries(forms[0]!.form)).toEqual({
      grant_type: 'client_credentials',
      resource: `${server.base}/mcp`,
      scope: 'a b',
    })
  })

  it('asks once for all who wait', async () => {
    const { headers, forms } = await setUp({ tokenUrl: true })
    const all = await Promise.all(Array.from({ length: 50 }, headers))
    expect(new Set(all).size).toBe(1)
    expect(forms).toHaveLength(1)
  })

  it('sends the secret in the body when the server wants it so', async () => {
    const { headers, forms } = await setUp({ methods: ['client_secret_post'], accepts: 'post' })
    await headers()
    expect(forms.map(({ via }) => via)).toEqual(['post'])
  })

  it('tries the body when a server that does not say refuses the header', async () => {
    const { headers, forms } = await setUp({ tokenUrl: true, accepts: 'post' })
    expect(await headers()).toEqual({ authorization: 'Bearer token-2' })
    expect(forms.map(({ via }) => via)).toEqual(['basic', 'post'])
  })

  it('does not try the body when the server said that it wants the header', async () => {
    const { headers, forms } = await setUp({ methods: ['client_secret_basic'], accepts: 'post' })
    await expect(headers()).rejects.toMatchObject({ code: 'CREDENTIAL_REFUSED' })
    expect(forms.map(({ via }) => via)).toEqual(['basic'])
  })

  it.each(['invalid_target', 'invalid_request'])(
    'leaves the resource out when a configured server answers %s to it',
    async (error) => {
      const refuse = (form: URLSearchParams) =>
        form.has('resource') ? { body: { error } } : undefined
      const { headers, forms } = await setUp({ tokenUrl: true, refuse })
      expect(await headers()).toEqual({ authorization: 'Bearer token-2' })
      expect(forms.map(({ form }) => form.has('resource'))).toEqual([true, false])
    },
  )

  it('insists on the resource at a server that the target named', async () => {
    const refuse = () => ({ body: { error: 'invalid_target' } })
    const { headers, forms } = await setUp({ refuse })
    await expect(headers()).rejects.toMatchObject({ code: 'CREDENTIAL_REFUSED' })
    expect(forms).toHaveLength(1)
  })

  it('gets another token once when the target refused one', async () => {
    const { credential, headers, clock } = await setUp({ tokenUrl: true })
    await headers()
    expect(credential.refused(nobody, UNAUTHORIZED)).toBe(true)
    expect(await headers()).toEqual({ authorization: 'Bearer token-2' })
    clock.advance(10_000)
    expect(credential.refused(nobody, UNAUTHORIZED)).toBe(false)
  })

  it.each([
    {
      name: 'wrong client, OAuth',
      refusal: { status: 401, body: { error: 'invalid_client', error_description: 'No' } },
      code: 'CREDENTIAL_REFUSED',
      says: '"invalid_client" ("No")',
      hint: 'Check "clientId" and "clientSecret" of this target (or "clientKey").',
    },
    {
      name: 'wrong client, Descope',
      refusal: {
        status: 401,
        body: { errorCode: 'E074130', errorMessage: 'Invalid client id' },
      },
      code: 'CREDENTIAL_REFUSED',
      says: '"E074130" ("Invalid client id")',
      hint: 'Check "clientId" and "clientSecret" of this target (or "clientKey").',
    },
    {
      name: 'no policy, Descope',
      refusal: { status: 403, body: { errorCode: 'E063316', errorMessage: 'Not associated' } },
      code: 'CREDENTIAL_REFUSED',
      says: '"E063316" ("Not associated")',
      hint: expect.stringContaining('(in Descope: a Policy)'),
    },
    {
      name: 'an error with status 200',
      refusal: { status: 200, body: { error: 'invalid_scope', description: 'x\u001b[31m' } },
      code: 'CREDENTIAL_REFUSED',
      says: '"invalid_scope" ("x\\u001b[31m")',
      hint: expect.stringContaining('Check "scope"'),
    },
    {
      name: 'a server in trouble',
      refusal: { status: 503, body: {} },
      code: 'ISSUER_UNREACHABLE',
      says: '"HTTP 503"',
      hint: undefined,
    },
  ])('explains $name', async ({ refusal, code, says, hint }) => {
    const { headers } = await setUp({ methods: ['client_secret_basic'], refuse: () => refusal })
    const error = await headers().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code, message: expect.stringContaining(says), hint })
    expect(String(error)).not.toContain(SECRET)
  })

  it.each([
    { name: 'a cloud metadata address', issuer: 'http://169.254.169.254' },
    { name: 'plain http elsewhere', issuer: 'http://as.example' },
    { name: 'a file', issuer: 'file:///etc/passwd' },
  ])('does not ask $name that the target names', async ({ issuer }) => {
    const { headers, forms } = await setUp({
      resourceMetadata: { authorization_servers: [issuer] },
    })
    await expect(headers()).rejects.toMatchObject({ code: 'DISCOVERY_INVALID' })
    expect(forms).toEqual([])
  })

  it('does not use metadata of another resource', async () => {
    const { headers, forms } = await setUp({
      resourceMetadata: { resource: 'https://other.example/mcp' },
    })
    await expect(headers()).rejects.toMatchObject({ code: 'DISCOVERY_INVALID' })
    expect(forms).toEqual([])
  })

  it('does not send the secret to an endpoint of another issuer', async () => {
    const { headers, forms } = await setUp({ metadata: { issuer: 'https://evil.example' } })
    await expect(headers()).rejects.toMatchObject({ code: 'DISCOVERY_INVALID' })
    expect(forms).toEqual([])
  })

  it('refuses a token that would break the header', async () => {
    const { headers } = await setUp({ tokenUrl: true, token: { access_token: 'a\r\nx: y' } })
    await expect(headers()).rejects.toMatchObject({ code: 'CREDENTIAL_REFUSED' })
  })

  it('keeps a token that may not do what it was used for', async () => {
    const { credential, headers, forms } = await setUp({ tokenUrl: true })
    await headers()
    const forbidden = { status: 403, challenge: 'Bearer error="insufficient_scope"' } as const
    expect(credential.refused(nobody, forbidden)).toBe(false)
    await headers()
    expect(forms).toHaveLength(1)
  })
})
