import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { serverOf } from '../../../src/auth/oauth/refresh.js'
import { revokeToken } from '../../../src/auth/oauth/revocation.js'
import { createClock } from '../../../src/util/async.js'
import { type Oidc, startOidc } from '../../helpers/oidc-provider.js'
import {
  createDesk,
  type DeskOptions,
  type Resource,
  startResource,
} from '../../helpers/sign-in.js'

describe('signing in at a certified authorization server', () => {
  let oidc: Oidc
  let resource: Resource

  beforeEach(async () => {
    resource = await startResource('')
    oidc = await startOidc(resource.url.href)
    resource.metadata = {
      resource: resource.url.href,
      authorization_servers: [oidc.issuer],
      scopes_supported: ['mcp:use'],
    }
  })
  afterEach(async () => {
    await resource.close()
    await oidc.close()
  })
  const desk = (more: Partial<DeskOptions> = {}) =>
    createDesk({
      target: { grant: { kind: 'server', url: resource.url } },
      browse: (url) => oidc.agree(url),
      ...more,
    })

  it('works with registration, PKCE, a resource and the issuer in the answer', async () => {
    const own = desk()
    const record = await own.signIn.ensure({ interactive: 'offer' })
    const page = (await own.visits[0]) as Response
    expect(await page.text()).toContain('dana')
    expect(record.scope?.split(' ')).toContain('mcp:use')
    const claims = JSON.parse(
      Buffer.from(record.accessToken.split('.')[1] ?? '', 'base64url').toString(),
    )
    expect(claims.aud).toBe(resource.url.href)
    expect(oidc.counts.registrations).toBe(1)
  })

  it('refreshes with rotation, again and again', async () => {
    let ahead = 0
    const clock = { ...createClock(), now: () => Date.now() + ahead }
    const { signIn, source, store, binding } = desk({ clock })
    let last = await signIn.ensure({ interactive: 'offer' })
    for (let round = 0; round < 3; round++) {
      ahead += 61_000
      expect(await source.refused(last.accessToken)).toEqual({ next: 'retry' })
      const renewed = await store.load(binding)
      expect(renewed?.refreshToken).not.toBe(last.refreshToken)
      last = renewed ?? last
    }
    expect(oidc.counts.refreshes).toBe(3)
  })

  it('works with a code', async () => {
    const own = desk({ options: { method: 'device' } })
    const running = own.signIn.ensure({ interactive: 'offer' })
    await expect.poll(() => own.signIn.state.phase, { timeout: 5_000 }).toBe('waiting')
    const { state } = own.signIn
    await oidc.enterCode(state.phase === 'waiting' ? state.url : '')
    expect((await running).accessToken).not.toBe('')
    expect(own.tabs).toEqual([])
  })

  it('[bridge-logout] revokes as the RFC says, without a bearer token', async () => {
    const { signIn, runtime, source } = desk()
    const record = await signIn.ensure({ interactive: 'offer' })
    const server = await serverOf(runtime, record)
    const refusal = await revokeToken(runtime, {
      server,
      client: record.client,
      token: record.refreshToken ?? '',
      hint: 'refresh_token',
      accessToken: record.accessToken,
    })
    expect(refusal).toBeUndefined()
    expect(await source.refused(record.accessToken)).toEqual({ next: 'sign-in' })
  })
})
