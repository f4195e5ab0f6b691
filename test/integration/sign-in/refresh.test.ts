import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createClientCredentialsSource } from '../../../src/auth/tokens/client-credentials-source.js'
import {
  type Identity,
  type IdentityInput,
  startIdentity,
} from '../../../src/demo/identity/index.js'
import { signOut } from '../../../src/sign-in/sign-out.js'
import { createClock } from '../../../src/util/async.js'
import { buildProcess } from '../../helpers/processes/build.js'
import { spawnProcess } from '../../helpers/processes/spawn.js'
import { createDesk, type Resource, startResource } from '../../helpers/sign-in.js'

const clock = createClock()

describe('refreshing at Descope', () => {
  let identity: Identity
  let resource: Resource

  beforeEach(async () => {
    identity = await startIdentity({ clock })
    resource = await startResource(identity.issuer)
  })
  afterEach(async () => {
    await resource.close()
    await identity.close()
  })
  const signedIn = async (options: IdentityInput = {}) => {
    identity.set(options)
    const desk = createDesk({ target: { grant: { kind: 'server', url: resource.url } } })
    return { ...desk, record: await desk.signIn.ensure({ interactive: 'offer' }) }
  }

  it('[bridge-keeps-refresh-token] keeps the old refresh token when the answer has none', async () => {
    const { source, store, binding, record } = await signedIn({ rotateRefresh: false })
    expect(await source.refused(record.accessToken)).toEqual({ next: 'retry' })
    const renewed = await store.load(binding)
    expect(renewed?.accessToken).not.toBe(record.accessToken)
    expect(renewed?.refreshToken).toBe(record.refreshToken)
  })

  it('sends the resource with the refresh, and no scope', async () => {
    const { source, record } = await signedIn()
    await source.refused(record.accessToken)
    const sent = identity.requests.filter(({ path }) => path.endsWith('/token')).at(-1)?.body
    expect(sent).toMatchObject({ grant_type: 'refresh_token', resource: resource.url.href })
    expect(sent).not.toHaveProperty('scope')
  })

  it('leads to a sign-in when the consent is gone, whatever the status says', async () => {
    const { source, record } = await signedIn()
    identity.revokeConsents()
    expect(await source.refused(record.accessToken)).toEqual({ next: 'sign-in' })
  })

  it.each([
    { status: 503 },
    { status: 429, retryAfter: 1 },
    { status: 500, body: '<html>trouble</html>' },
    { status: 400, body: { error: 'temporarily_unavailable' } },
    { status: 0 },
  ])('[bridge-refresh-trouble] tries again after %o', async (failure) => {
    const { source, record } = await signedIn()
    identity.set({ fail: [{ path: '/token', ...failure }] })
    expect(await source.refused(record.accessToken)).toEqual({ next: 'retry' })
    expect(identity.counters.refreshes).toBe(1)
  })

  it('[bridge-refresh-trouble] says that it is retryable, and keeps the tokens, when the trouble lasts', async () => {
    const { source, store, binding, record, tabs } = await signedIn()
    identity.set({ fail: [{ path: '/token', status: 503, times: 99 }] })
    await expect(source.refused(record.accessToken)).rejects.toMatchObject({
      code: 'ISSUER_UNREACHABLE',
    })
    expect(await store.load(binding)).toEqual(record)
    expect(tabs).toHaveLength(1)
  })

  it('[bridge-refresh-trouble] is not kept waiting by a long Retry-After', async () => {
    const { source, record } = await signedIn()
    identity.set({ fail: [{ path: '/token', status: 429, retryAfter: 600, times: 99 }] })
    await expect(source.refused(record.accessToken)).rejects.toMatchObject({
      refusal: { retryAfter: '600' },
    })
  })

  it('[bridge-forgotten-client] registers a client that the server forgot once more, and then leads to a sign-in', async () => {
    const { source, record } = await signedIn()
    identity.set({ fail: [{ path: '/token', status: 401, body: { error: 'invalid_client' } }] })
    expect(await source.refused(record.accessToken)).toEqual({ next: 'sign-in' })
    expect(identity.counters.registrations).toBe(2)
  })

  it('[bridge-stores-before-use] leaves a whole pair when the process is killed while it writes', async () => {
    const { folder, store, binding, record } = await signedIn()
    await store.save({ ...record, accessToken: 'access-', refreshToken: 'refresh-' })
    const script = await buildProcess('saver')
    for (let round = 0; round < 8; round++) {
      const saver = spawnProcess(script, { folder, url: resource.url.href })
      await saver.next()
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 60))
      await saver.kill()
      const found = await store.load(binding)
      expect(found?.accessToken.replace('access', 'refresh')).toBe(found?.refreshToken)
    }
    await store.remove(binding)
    expect(readdirSync(join(folder, 'tokens'))).toEqual([])
  }, 60_000)

  it('[bridge-logout] revokes with the access token as proof, then deletes', async () => {
    const { source, store, binding, folder, runtime, record } = await signedIn()
    const report = await signOut({ ...runtime, store, folder, source, configured: {} }, record)
    expect(report).toEqual({ revoked: true, reason: undefined })
    expect(await store.load(binding)).toBeUndefined()
    const revocations = identity.requests.filter(({ path }) => path.endsWith('/revoke'))
    expect(revocations.map(({ headers }) => headers['authorization'])).toContain(
      `Bearer ${record.accessToken}`,
    )
  })

  it('[bridge-logout] deletes here and says why when the server cannot be asked', async () => {
    const { source, store, binding, folder, runtime, record } = await signedIn()
    identity.set({ fail: [{ path: '/revoke', status: 500, times: 9 }] })
    const report = await signOut({ ...runtime, store, folder, source, configured: {} }, record)
    expect(report.revoked).toBe(false)
    expect(await store.load(binding)).toBeUndefined()
  })

  describe('with client credentials', () => {
    const client = { id: 'machine=', secret: 'machine-secret' }
    const source = () =>
      createClientCredentialsSource({
        clock,
        fetch: globalThis.fetch,
        target: { kind: 'server', url: resource.url },
        client,
        scope: undefined,
      })

    it('gets one token for many callers, and a new one when it is refused', async () => {
      identity.set({ clients: [{ clientId: client.id, clientSecret: client.secret }] })
      const tokens = source()
      const [first, second] = await Promise.all([tokens.get(), tokens.get()])
      expect(first).toBe(second)
      expect(await tokens.refused(first ?? '')).toEqual({ next: 'retry' })
      const renewed = await tokens.get()
      expect(renewed).not.toBe(first)
      expect(await tokens.refused(renewed ?? '')).toMatchObject({
        next: 'give-up',
        error: { code: 'CREDENTIAL_REFUSED', hint: expect.stringContaining('Policy') },
      })
    })

    it('says what the server said when the client has no policy', async () => {
      identity.set({
        clients: [{ clientId: client.id, clientSecret: client.secret, policy: false }],
      })
      await expect(source().get()).rejects.toThrow('E063316')
    })
  })
})
