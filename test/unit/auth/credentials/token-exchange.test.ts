import { generateKeyPairSync } from 'node:crypto'
import { jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Caller } from '../../../../src/auth/credentials/credential.js'
import {
  type TokenExchangeSettings,
  tokenExchange,
} from '../../../../src/auth/credentials/token-exchange.js'
import { parseConfigUrl } from '../../../../src/auth/descope/discovery.js'
import { AGENTIC_PATH, createTestClock, listen, START, sendJson } from '../support.js'

const UNAUTHORIZED = { status: 401, challenge: undefined } as const

const caller = (accessToken: string | undefined, lifetime = 3_600): Caller => ({
  accessToken,
  principal: {
    issuer: 'https://api.descope.com',
    subject: 'U2user',
    clientId: undefined,
    scopes: new Set(),
    tenant: undefined,
    roles: [],
    permissions: [],
    expiresAt: START / 1000 + lifetime,
  },
})

async function setUp(
  settings: Partial<TokenExchangeSettings> = {},
  answer: { status?: number; body: unknown } | undefined = undefined,
) {
  const forms: Record<string, string>[] = []
  const server = await listen((request, response) => {
    forms.push(Object.fromEntries(new URLSearchParams(request.text)))
    if (answer) return sendJson(response, answer.body, answer.status)
    sendJson(response, {
      access_token: `exchanged-${forms.length}`,
      issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      token_type: 'Bearer',
      expires_in: 600,
    })
  })
  const clock = createTestClock()
  const credential = tokenExchange(
    {
      clientId: 'UDI=:x',
      clientSecret: 's/+',
      scope: settings.scope,
      resource: settings.resource,
      ...settings,
    },
    {
      runtime: { fetch, clock },
      descope: { project: parseConfigUrl(`${server.base}${AGENTIC_PATH}`) },
      targetUrl: 'https://target.example/mcp',
    },
  )
  return { credential, clock, forms, requests: server.requests }
}

describe('token exchange', () => {
  it('exchanges the token of the caller for one for the target', async () => {
    const { credential, forms, requests } = await setUp()
    expect(await credential.headers(caller('mine'))).toEqual({
      authorization: 'Bearer exchanged-1',
    })
    expect(forms).toEqual([
      {
        grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
        subject_token: 'mine',
        subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        resource: 'https://target.example/mcp',
      },
    ])
    expect(requests[0]?.headers.authorization).toBe(
      `Basic ${Buffer.from('UDI%3D%3Ax:s%2F%2B').toString('base64')}`,
    )
  })

  it('proves the client by an RSA key with RS256', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const clientKey = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
    const { credential, forms } = await setUp({ clientSecret: undefined, clientKey })
    await credential.headers(caller('mine'))
    const [form] = forms
    const assertion = form?.['client_assertion'] ?? ''
    const currentDate = new Date(START)
    const { payload, protectedHeader } = await jwtVerify(assertion, publicKey, { currentDate })
    expect(protectedHeader.alg).toBe('RS256')
    expect(payload).toMatchObject({ iss: 'UDI=:x', sub: 'UDI=:x', jti: expect.any(String) })
    expect(form).not.toHaveProperty('client_secret')
  })

  it('fails with what to look at when Descope does not answer in time', async () => {
    const clock = createTestClock()
    let came = () => {}
    const isAsked = new Promise<void>((resolve) => {
      came = resolve
    })
    const silent = await listen(() => came())
    const credential = tokenExchange(
      { clientId: 'c', clientSecret: 's', scope: undefined, resource: undefined },
      {
        runtime: { fetch, clock },
        descope: { project: parseConfigUrl(`${silent.base}${AGENTIC_PATH}`) },
        targetUrl: 'https://target.example/mcp',
      },
    )
    const answer = Promise.resolve(credential.headers(caller('mine')))
    await isAsked
    clock.advance(60_000)
    await expect(answer).rejects.toMatchObject({
      code: 'ISSUER_UNREACHABLE',
      hint: expect.stringContaining('descopestatus.com'),
    })
  })

  it('sends what is configured', async () => {
    const { credential, forms } = await setUp({
      scope: 'a b',
      resource: 'urn:r',
      audience: ['aud'],
    })
    await credential.headers(caller('mine'))
    expect(forms[0]).toMatchObject({ scope: 'a b', resource: 'urn:r', audience: 'aud' })
  })

  it('keeps what it got for this caller alone', async () => {
    const { credential, forms } = await setUp()
    const first = await credential.headers(caller('mine'))
    const other = await credential.headers(caller('yours'))
    expect(credential.headers(caller('mine'))).toBe(first)
    expect(credential.headers(caller('yours'))).toBe(other)
    expect(first).not.toEqual(other)
    expect(forms.map(({ subject_token }) => subject_token)).toEqual(['mine', 'yours'])
  })

  it('never gives callers each others tokens when they come at once', async () => {
    const { credential, forms } = await setUp()
    const callers = Array.from({ length: 20 }, (_, index) => `token-${index}`)
    const headers = await Promise.all(
      [...callers, ...callers].map((token) => credential.headers(caller(token))),
    )
    expect(forms).toHaveLength(20)
    for (const [index, value] of headers.entries()) {
      const token = callers[index % 20]
      const number = forms.findIndex(({ subject_token }) => subject_token === token) + 1
      expect(value).toEqual({ authorization: `Bearer exchanged-${number}` })
    }
  })

  it('keeps it no longer than the token of the caller is valid', async () => {
    const { credential, clock, forms } = await setUp()
    await credential.headers(caller('mine', 60))
    clock.advance(59_999)
    expect(credential.headers(caller('mine', 60))).not.toBeInstanceOf(Promise)
    expect(forms).toHaveLength(1)
    clock.advance(1)
    await credential.headers(caller('mine', 60))
    expect(forms).toHaveLength(2)
  })

  it('exchanges again once after a refusal, for this caller only', async () => {
    const { credential, forms } = await setUp()
    await credential.headers(caller('mine'))
    await credential.headers(caller('yours'))
    expect(credential.refused(caller('mine'), UNAUTHORIZED)).toBe(true)
    await credential.headers(caller('mine'))
    await credential.headers(caller('yours'))
    expect(forms.map(({ subject_token }) => subject_token)).toEqual(['mine', 'yours', 'mine'])
  })

  it('needs a caller with a token', async () => {
    const { credential, forms } = await setUp()
    expect(() => credential.headers(caller(undefined))).toThrow(
      expect.objectContaining({ code: 'CREDENTIAL_REFUSED' }),
    )
    expect(credential.refused(caller(undefined), UNAUTHORIZED)).toBe(false)
    expect(forms).toEqual([])
  })

  it.each([
    { status: 400, body: { error: 'invalid_grant' }, code: 'CREDENTIAL_REFUSED' },
    { status: 403, body: { errorCode: 'E063316' }, code: 'CREDENTIAL_REFUSED' },
    { status: 401, body: {}, code: 'CREDENTIAL_REFUSED' },
    { status: 403, body: 'no', code: 'CREDENTIAL_REFUSED' },
    { status: 500, body: {}, code: 'ISSUER_UNREACHABLE' },
  ])('answers $status $body with $code', async ({ status, body, code }) => {
    const { credential } = await setUp({}, { status, body })
    const error = await Promise.resolve(credential.headers(caller('mine'))).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code })
    expect(String(error)).not.toContain('mine')
    expect(error).toMatchObject({ hint: expect.stringMatching(/console.*Delegated access/) })
  })

  it('keeps a token that may not do what it was used for', async () => {
    const { credential, forms } = await setUp()
    await credential.headers(caller('mine'))
    const forbidden = { status: 403, challenge: 'Bearer error="insufficient_scope"' } as const
    expect(credential.refused(caller('mine'), forbidden)).toBe(false)
    await credential.headers(caller('mine'))
    expect(forms).toHaveLength(1)
  })
})
