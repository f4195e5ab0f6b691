import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { createClock } from '../../../src/util/clock.js'
import { createDesk, type Resource, startResource } from '../../helpers/sign-in.js'

describe('signing in with the browser', () => {
  let identity: Identity
  let resource: Resource

  beforeEach(async () => {
    identity = await startIdentity({ clock: createClock() })
    resource = await startResource(identity.issuer)
  })
  afterEach(async () => {
    await resource.close()
    await identity.close()
  })

  it('gets a token for the resource', async () => {
    const desk = createDesk({ target: { grant: { kind: 'server', url: resource.url } } })
    const record = await desk.signIn.ensure({ interactive: 'offer' })
    expect(record.issuer).toBe(identity.issuer)
    const page = (await desk.visits[0]) as Response
    expect(await page.text()).toContain('Signed in')
    expect(await desk.source.get()).toBe(record.accessToken)
  })
})
