import { describe, expect, it } from 'vitest'
import { requestConnectLink } from '../../../../src/auth/credentials/descope-request.js'
import { createTestClock, listen } from '../support.js'

describe('the link to connect', () => {
  it('fails with what to look at when Descope does not answer in time', async () => {
    let came = () => {}
    const isAsked = new Promise<void>((resolve) => {
      came = resolve
    })
    const silent = await listen(() => came())
    const clock = createTestClock()
    const asked = requestConnectLink(
      { fetch, clock },
      {
        ...{ url: `${silent.base}/v1/mgmt/outbound/app/connect`, bearer: 'P1:token-of-ann' },
        ...{ app: 'github', scopes: undefined, tenantId: undefined },
      },
    )
    await isAsked
    clock.advance(60_000)
    const error = await asked.catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'ISSUER_UNREACHABLE',
      hint: expect.stringMatching(/descopestatus\.com.*"github" in the Descope console/),
    })
    expect(JSON.stringify(error)).not.toContain('token-of-ann')
  })
})
