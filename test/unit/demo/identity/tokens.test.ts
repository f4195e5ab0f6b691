import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  jwtVerify,
} from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../../src/demo/identity/index.js'
import { discover, movableClock, RESOURCE, signedIn } from './support.js'

let identity: Identity
beforeAll(async () => {
  identity = await startIdentity({ clock: movableClock() })
})
afterAll(() => identity.close())
afterEach(() =>
  identity.set({
    ...{ issuer: undefined, aud: undefined, resourceUrl: undefined, user: undefined },
    ...{ forceAddAllAuthorizationInfo: undefined, autoTenantClaim: undefined, stepUp: undefined },
  }),
)

const keySet = async () => {
  const { jwks_uri } = await discover(identity)
  return (await fetch(jwks_uri as string)).json()
}
const verify = async (token: string) =>
  jwtVerify(token, createLocalJWKSet((await keySet()) as never), { algorithms: ['RS256'] })

describe('access token', () => {
  it.each([
    ['project', () => `${identity.url}/v1/apps/${identity.projectId}`],
    ['agentic', () => identity.issuer],
    ['tenant', () => `${identity.url}/v1/apps/${identity.projectId}/T2acme`],
    ['bare', () => identity.projectId],
    ['project-url', () => `${identity.url}/${identity.projectId}`],
  ] as const)('has the issuer of the form %s', async (issuer, expected) => {
    identity.set({ issuer, user: { tenant: 'T2acme' } })
    expect(decodeJwt(await identity.mint()).iss).toBe(expected())
  })

  it('has a tenant issuer without a tenant too', async () => {
    identity.set({ issuer: 'tenant' })
    expect(decodeJwt(await identity.mint()).iss).toMatch(/\/T\w{27}$/)
  })

  it.each([
    ['client+project+resource', (client: string) => [client, identity.projectId, RESOURCE]],
    ['client+project', (client: string) => [client, identity.projectId]],
    ['project', () => [identity.projectId]],
    ['resource', () => [RESOURCE]],
  ] as const)('has the audience of the form %s', async (aud, expected) => {
    identity.set({ aud })
    const { client, tokens } = await signedIn(identity, { resource: RESOURCE })
    expect(decodeJwt(tokens.access_token).aud).toEqual(expected(client.client_id))
  })

  it('names the configured resource without being asked', async () => {
    identity.set({ resourceUrl: RESOURCE })
    const { tokens } = await signedIn(identity)
    expect(decodeJwt(tokens.access_token).aud).toContain(RESOURCE)
    expect(decodeJwt(await identity.mint()).aud).toContain(RESOURCE)
  })

  it('carries the tenant, roles and custom claims of the user, and no email by itself', async () => {
    const tenants = { T2acme: { roles: ['Admin'], permissions: ['write'] } }
    identity.set({
      forceAddAllAuthorizationInfo: true,
      user: { id: 'U2me', tenant: 'T2acme', tenants, roles: ['Owner'], claims: { plan: 'pro' } },
    })
    const claims = decodeJwt(await identity.mint())
    expect(claims).toMatchObject({ sub: 'U2me', dct: 'T2acme', tenants, roles: ['Owner'] })
    expect(claims).toMatchObject({ plan: 'pro', amr: ['email'], drn: 'DS' })
    expect(claims).not.toHaveProperty('email')
    expect(claims).not.toHaveProperty('permissions')
  })

  it('has no roles, permissions and tenants unless the server adds them', async () => {
    const tenants = { T2acme: { roles: ['Admin'], permissions: ['write'] } }
    identity.set({ user: { tenants, roles: ['Owner'], permissions: ['read'] } })
    const claims = decodeJwt(await identity.mint())
    for (const name of ['roles', 'permissions', 'tenants', 'dct', 'su', 'dsub', 'cnf']) {
      expect(claims).not.toHaveProperty(name)
    }
    identity.set({ autoTenantClaim: true })
    expect(decodeJwt(await identity.mint())['dct']).toBe('T2acme')
    identity.set({ user: { tenants: { ...tenants, T2b: { roles: [], permissions: [] } } } })
    expect(decodeJwt(await identity.mint())).not.toHaveProperty('dct')
  })

  it('says that the user stepped up, always or where it was asked for', async () => {
    identity.set({ stepUp: true })
    expect(decodeJwt(await identity.mint())['su']).toBe(true)
    identity.set({ stepUp: 'asked' })
    expect(decodeJwt(await identity.mint())).not.toHaveProperty('su')
    const { tokens } = await signedIn(identity, { extra: { acr_values: 'step-up' } })
    expect(decodeJwt(tokens.access_token)['su']).toBe(true)
  })

  it('keeps the user id beside a subject that a template has put in its place', async () => {
    identity.set({ user: { id: 'U2me', subject: 'me@example.com' } })
    const claims = decodeJwt(await identity.mint())
    expect(claims).toMatchObject({ sub: 'me@example.com', dsub: 'U2me' })
  })

  it('follows the tenant that the authorization request names', async () => {
    const { tokens } = await signedIn(identity, { extra: { tenant: 'T2other' } })
    expect(decodeJwt(tokens.access_token)['dct']).toBe('T2other')
  })
})

describe('mint', () => {
  it('gives a token that the served keys verify', async () => {
    const { payload, protectedHeader } = await verify(await identity.mint())
    expect(protectedHeader).toMatchObject({ alg: 'RS256', typ: 'JWT' })
    expect((payload.exp as number) - (payload.iat as number)).toBe(600)
    expect(payload['azp']).not.toBe('')
  })

  it('replaces claims and takes those away that are undefined', async () => {
    const claims = decodeJwt(await identity.mint({ sub: 'U2x', exp: undefined, aud: ['x'] }))
    expect(claims).toMatchObject({ sub: 'U2x', aud: ['x'] })
    expect(claims).not.toHaveProperty('exp')
  })

  it('never gives the same token twice', async () => {
    expect(await identity.mint()).not.toBe(await identity.mint())
  })

  it('replaces header members', async () => {
    const header = decodeProtectedHeader(await identity.mint({}, { kid: undefined, typ: 'at+jwt' }))
    expect(header).toEqual({ alg: 'RS256', typ: 'at+jwt' })
  })

  it.each([
    ['without a signature', { alg: 'none' }, 'current'],
    ['with an HMAC keyed with the public key', { alg: 'HS256' }, 'current'],
    ['by RS384', { alg: 'RS384' }, 'current'],
    ['by PS256', { alg: 'PS256' }, 'current'],
    ['by a foreign key under a known kid', {}, 'foreign'],
  ] as const)('makes a token %s, which a validator refuses', async (_name, header, key) => {
    const token = await identity.mint({}, header, { key })
    expect(token.split('.')).toHaveLength(3)
    expect(decodeProtectedHeader(token).alg).toBe('alg' in header ? header.alg : 'RS256')
    await expect(verify(token)).rejects.toThrow()
  })
})

describe('rotateKeys', () => {
  it('signs under a new kid and keeps older keys in the set', async () => {
    const old = await identity.mint()
    await identity.rotateKeys()
    const fresh = await identity.mint()
    expect(decodeProtectedHeader(fresh).kid).not.toBe(decodeProtectedHeader(old).kid)
    await expect(verify(old)).resolves.toBeDefined()
    await expect(verify(fresh)).resolves.toBeDefined()
  })

  it('takes older keys out of the set when asked to', async () => {
    const old = await identity.mint()
    await identity.rotateKeys({ keepPrevious: false })
    await expect(verify(old)).rejects.toThrow()
    await expect(verify(await identity.mint())).resolves.toBeDefined()
  })

  it('is seen by a client that reads the keys anew', async () => {
    const { jwks_uri } = await discover(identity)
    const keys = createRemoteJWKSet(new URL(jwks_uri as string), { cooldownDuration: 0 })
    await jwtVerify(await identity.mint(), keys)
    await identity.rotateKeys({ keepPrevious: false })
    await expect(jwtVerify(await identity.mint(), keys)).resolves.toBeDefined()
  })
})
