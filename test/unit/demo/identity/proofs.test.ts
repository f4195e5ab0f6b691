import { createHash } from 'node:crypto'
import { decodeJwt, exportJWK, generateKeyPair, SignJWT } from 'jose'
import * as oauth from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import {
  authorizationUrl,
  discover,
  insecure,
  postForm,
  postJson,
  REDIRECT_URI,
  RESOURCE,
  read,
  registerClient,
  type Started,
  signedIn,
  signIn,
  start,
  visit,
} from './support.js'

/** Redeems a fresh code of a public client with a DPoP key, as `oauth4webapi` does. */
async function redeem(identity: Started, keys: Keys, extra: Record<string, string> = {}) {
  const as = await discover(identity)
  const client = await registerClient(as)
  const { url, verifier, state } = await authorizationUrl(as, client, { extra })
  const parameters = oauth.validateAuthResponse(as, client, await visit(url), state)
  const DPoP = oauth.DPoP(client, keys)
  const ask = () =>
    oauth.authorizationCodeGrantRequest(
      ...([as, client, oauth.None(), parameters, REDIRECT_URI, verifier] as const),
      { ...insecure, DPoP },
    )
  const process = (response: Response) =>
    oauth.processAuthorizationCodeResponse(as, client, response)
  return { as, client, DPoP, ask, process }
}

const newKeys = () => oauth.generateKeyPair('ES256')
type Keys = Awaited<ReturnType<typeof newKeys>>

async function thumbprint({ publicKey }: Keys) {
  const { crv, kty, x, y } = await exportJWK(publicKey)
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url')
}

describe('DPoP at the token endpoint', () => {
  it('binds access tokens and refresh tokens to the key of the proof', async () => {
    const keys = await newKeys()
    const { as, client, ask, process, DPoP } = await redeem(await start(), keys)
    const tokens = await process(await ask())
    expect(tokens.token_type).toBe('dpop')
    expect(decodeJwt(tokens.access_token)['cnf']).toEqual({ jkt: await thumbprint(keys) })
    const refresh = (options: object) =>
      oauth.refreshTokenGrantRequest(as, client, oauth.None(), tokens.refresh_token as string, {
        ...insecure,
        ...options,
      })
    const other = oauth.DPoP(client, await newKeys())
    expect((await refresh({ DPoP: other })).status).toBe(401)
    expect((await refresh({})).status).toBe(401)
    const again = await oauth.processRefreshTokenResponse(as, client, await refresh({ DPoP }))
    expect(decodeJwt(again.access_token)['cnf']).toEqual({ jkt: await thumbprint(keys) })
  })

  it('demands its nonce when the option says so', async () => {
    const { ask, process } = await redeem(await start({ dpopNonce: true }), await newKeys())
    await expect(ask().then(process)).rejects.toMatchObject({ error: 'use_dpop_nonce' })
    expect((await process(await ask())).token_type).toBe('dpop')
  })

  it('holds a client to the key that it named at authorization', async () => {
    const named = await thumbprint(await newKeys())
    const { ask } = await redeem(await start(), await newKeys(), { dpop_jkt: named })
    expect((await ask()).status).toBe(401)
  })

  it('refuses a request without a proof when one is required, and ignores one when it is off', async () => {
    await expect(signedIn(await start({ dpop: 'require' }))).rejects.toMatchObject({
      error: 'invalid_dpop_proof',
    })
    const off = await start({ dpop: 'off' })
    expect((await discover(off)).dpop_signing_alg_values_supported).toBeUndefined()
    const { ask } = await redeem(off, await newKeys())
    const { body } = await read(await ask())
    expect(body.token_type).toBe('Bearer')
    expect(decodeJwt(body.access_token)).not.toHaveProperty('cnf')
  })

  it.each<[string, object, object]>([
    ['another method', { htm: 'GET' }, {}],
    ['another URL', { htu: 'http://127.0.0.1:1/token' }, {}],
    ['an old date', { iat: 1 }, {}],
    ['no id', { jti: undefined }, {}],
    ['another type', {}, { typ: 'JWT' }],
    ['a private key in it', {}, { private: true }],
  ])(
    'refuses a proof with %s',
    async (_name, claims, { private: isPrivate, ...header }: object & { private?: boolean }) => {
      const identity = await start({ clients: [{ clientId: 'm', clientSecret: 's' }] })
      const url = `${identity.url}/oauth2/v1/token`
      const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
      const jwk = await exportJWK(isPrivate ? privateKey : publicKey)
      const ask = async (changes: object, members: object, key = jwk) => {
        const now = Math.floor(Date.now() / 1000)
        const proof = await new SignJWT({ htm: 'POST', htu: url, iat: now, jti: 'one', ...changes })
          .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: key, ...members })
          .sign(privateKey)
        const form = { grant_type: 'client_credentials', client_id: 'm', client_secret: 's' }
        return postForm(url, form, { dpop: proof })
      }
      expect(await ask(claims, header)).toMatchObject({
        status: 400,
        body: { error: 'invalid_dpop_proof' },
      })
      const good = await exportJWK(publicKey)
      expect((await ask({}, {}, good)).status).toBe(200)
      expect((await ask({}, {}, good)).status).toBe(400)
    },
  )
})

describe('private_key_jwt', () => {
  async function machine(clockOffset = 0) {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const jwk = await exportJWK(publicKey)
    const identity = await start({ clients: [{ clientId: 'm', publicKey: jwk as never }] })
    const url = `${identity.url}/oauth2/v1/token`
    const now = Math.floor(Date.now() / 1000) + clockOffset
    const assertion = (changes: object = {}, key = privateKey) =>
      new SignJWT({ iss: 'm', sub: 'm', aud: url, iat: now, exp: now + 60, jti: 'a', ...changes })
        .setProtectedHeader({ alg: 'ES256' })
        .sign(key)
    const ask = (client_assertion: string, more: Record<string, string> = {}) =>
      postForm(url, {
        grant_type: 'client_credentials',
        client_assertion,
        client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
        ...more,
      })
    return { identity, assertion, ask, url }
  }

  it('proves a client by its ES256 key, once', async () => {
    const { ask, assertion } = await machine()
    const signed = await assertion()
    const { status, body } = await ask(signed)
    expect([status, decodeJwt(body.access_token).sub]).toEqual([200, 'm'])
    expect((await ask(signed)).status).toBe(401)
  })

  it.each<[string, object]>([
    ['another audience', { aud: 'https://elsewhere.example' }],
    ['another issuer', { iss: 'x' }],
    ['an expiry that is over', { exp: 1 }],
    ['no id', { jti: undefined }],
    ['no expiry', { exp: undefined }],
  ])('refuses an assertion with %s', async (_name, changes) => {
    const { ask, assertion } = await machine()
    expect((await ask(await assertion(changes))).status).toBe(401)
  })

  it('refuses another key, another type, two ways at once, and the client id alone', async () => {
    const { ask, assertion, url } = await machine()
    const { privateKey } = await generateKeyPair('ES256')
    expect((await ask(await assertion({}, privateKey))).status).toBe(401)
    expect((await ask(await assertion(), { client_assertion_type: 'x' })).status).toBe(400)
    expect((await ask(await assertion(), { client_secret: 'x' })).status).toBe(400)
    expect((await ask(await assertion(), { client_id: 'other' })).status).toBe(400)
    const alone = { grant_type: 'client_credentials', client_id: 'm' }
    expect((await postForm(url, alone)).status).toBe(401)
  })
})

describe('pushed authorization requests', () => {
  async function push(identity: Started, changes: Record<string, string> = {}) {
    const as = await discover(identity)
    const client = await registerClient(as)
    const { url, verifier, state } = await authorizationUrl(as, client, { extra: changes })
    const answer = await postForm(`${identity.url}/oauth2/v1/apps/par`, url.searchParams)
    const short = new URL(as.authorization_endpoint as string)
    short.searchParams.set('client_id', client.client_id)
    short.searchParams.set('request_uri', answer.body.request_uri)
    return { as, client, answer, short, verifier, state }
  }

  it('stand for the request, once', async () => {
    const { answer, short, as, client, state } = await push(await start())
    expect(answer).toMatchObject({ status: 201, body: { expires_in: 60 } })
    short.searchParams.set('redirect_uri', 'https://evil.example/')
    const back = await visit(short)
    expect(back.href).toContain(REDIRECT_URI)
    expect(oauth.validateAuthResponse(as, client, back, state).get('code')).toBeTruthy()
    await expect(visit(short)).rejects.toThrow('no redirect: 400')
  })

  it('end after a minute and are for their client only', async () => {
    const identity = await start()
    const late = await push(identity)
    identity.clock.advance(61)
    await expect(visit(late.short)).rejects.toThrow('no redirect: 400')
    const { short, as } = await push(identity)
    short.searchParams.set('client_id', (await registerClient(as)).client_id)
    await expect(visit(short)).rejects.toThrow('no redirect: 400')
  })

  it.each<[string, Record<string, string>, number]>([
    ['an unknown client', { client_id: 'nobody' }, 401],
    ['an unknown redirect URI', { redirect_uri: 'https://evil.example/' }, 400],
    ['an unknown scope', { scope: 'nope' }, 400],
    ['a request URI of its own', { request_uri: 'urn:x' }, 400],
  ])('are refused at once with %s', async (_name, changes, status) => {
    expect((await push(await start(), changes)).answer.status).toBe(status)
  })
})

describe('userinfo of the project', () => {
  it('takes an MCP access token with the scope descope.custom_claims', async () => {
    const identity = await start({ user: { id: 'U2me', claims: { plan: 'pro' } } })
    const ask = async (scope: string) => {
      const { tokens } = await signedIn(identity, { scope })
      const headers = { authorization: `Bearer ${tokens.access_token}` }
      return read(await fetch(`${identity.url}/oauth2/v1/userinfo`, { headers }))
    }
    expect(await ask('mcp:use descope.custom_claims')).toMatchObject({
      status: 200,
      body: { sub: 'U2me', email: 'demo@example.com', plan: 'pro' },
    })
    expect((await ask('mcp:use')).status).toBe(403)
    expect((await fetch(`${identity.url}/oauth2/v1/userinfo`)).status).toBe(401)
  })
})

describe("the project's own registration", () => {
  const projectOf = (identity: Started) =>
    discover(identity, `${identity.url}/v1/apps/${identity.projectId}`)

  it('makes clients whose tokens are for the project, or for the resource that they name', async () => {
    const identity = await start({ resourceUrl: RESOURCE })
    const as = await projectOf(identity)
    const client = await registerClient(as)
    const audienceOf = async (resource?: string) =>
      decodeJwt((await signIn(as, client, resource ? { resource } : {})).access_token).aud
    expect(await audienceOf()).toEqual([identity.projectId])
    expect(await audienceOf(RESOURCE)).toContain(RESOURCE)
    identity.set({ projectResource: false })
    expect(await audienceOf(RESOURCE)).toEqual([identity.projectId])
  })

  it('gives an id token for the client and the project, and answers at its userinfo', async () => {
    const identity = await start()
    const as = await projectOf(identity)
    const client = await registerClient(as)
    const tokens = await signIn(as, client, { scope: 'openid' })
    expect(decodeJwt(tokens.id_token as string).aud).toEqual([client.client_id, identity.projectId])
    const headers = { authorization: `Bearer ${tokens.access_token}` }
    const info = await read(await fetch(as.userinfo_endpoint as string, { headers }))
    expect(info).toMatchObject({ status: 200, body: { email: 'demo@example.com' } })
  })

  it('gives refresh tokens 520 weeks, and those of the MCP server four', async () => {
    const identity = await start()
    const as = await projectOf(identity)
    const project = await signIn(as, await registerClient(as))
    const server = (await signedIn(identity)).tokens
    const weeks = ({ access_token }: { access_token: string }) => {
      const { iat = 0, rexp } = decodeJwt(access_token)
      return Math.round((Date.parse(String(rexp)) / 1000 - iat) / 604_800)
    }
    expect([weeks(project), weeks(server)]).toEqual([520, 4])
  })
})

describe('token exchange at the shared endpoint', () => {
  const exchange = async (identity: Started, form: [string, string][] = [], path = '/token') =>
    postForm(`${identity.url}/oauth2/v1${path}`, [
      ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
      ['subject_token', await identity.mint({ sub: 'U2you', azp: 'agent', dct: 'T2acme' })],
      ['subject_token_type', 'urn:ietf:params:oauth:token-type:access_token'],
      ...form,
    ])

  it('takes any URI as resource, several audiences and no client authentication', async () => {
    const identity = await start({
      aud: 'resource',
      clients: [{ clientId: 'm', clientSecret: 's' }],
    })
    const { status, body } = await exchange(identity, [
      ['resource', 'urn:my-api'],
      ['audience', 'one'],
      ['audience', 'two'],
      ['scope', 'api:read'],
    ])
    expect([status, body.scope]).toEqual([200, 'api:read'])
    const claims = decodeJwt(body.access_token)
    expect(claims).toMatchObject({ aud: ['urn:my-api', 'one', 'two'], sub: 'U2you', dct: 'T2acme' })
    expect(claims).toMatchObject({ azp: 'agent' })
    expect(claims).not.toHaveProperty('act')
    const named = await exchange(identity, [['client_id', 'm']], '/apps/token')
    expect(decodeJwt(named.body.access_token)).toMatchObject({ azp: 'm', act: { sub: 'm' } })
    const wrong = await exchange(identity, [
      ['client_id', 'm'],
      ['client_secret', 'x'],
    ])
    expect(wrong.status).toBe(401)
  })

  it.each([401, 403] as const)('answers %i when no policy delegates access', async (status) => {
    const identity = await start({ delegatedAccess: status })
    expect((await exchange(identity)).status).toBe(status)
  })

  it("works at the MCP server's endpoint too, unless the option says otherwise", async () => {
    const identity = await start()
    const { token_endpoint } = await discover(identity)
    const path = new URL(token_endpoint as string).pathname.slice('/oauth2/v1'.length)
    expect((await exchange(identity, [], path)).status).toBe(200)
    identity.set({ agenticExchange: false })
    expect((await exchange(identity, [], path)).status).toBe(400)
  })
})

describe('the toggle of the device flow', () => {
  it('refuses clients for which it is off', async () => {
    const identity = await start({
      device: true,
      dcrDevice: false,
      clients: [{ clientId: 'off', device: false }, { clientId: 'on' }],
    })
    const registered = await registerClient(await discover(identity))
    const ask = async (client_id: string) =>
      (await postForm(`${identity.url}/oauth2/v1/apps/device`, { client_id })).status
    expect(await Promise.all(['on', 'off', registered.client_id].map(ask))).toEqual([200, 400, 400])
  })
})

it('control changes the nonce', async () => {
  const identity = await start({ dpopNonce: true })
  const first = await postJson(`${identity.url}/__test/dpop/nonce`, {})
  const second = await postJson(`${identity.url}/__test/dpop/nonce`, {})
  expect(first.body.nonce).not.toBe(second.body.nonce)
})
