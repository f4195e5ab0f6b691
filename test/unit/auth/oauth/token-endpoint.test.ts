import { describe, expect, it } from 'vitest'
import { readGrant } from '../../../../src/auth/oauth/token-endpoint.js'

describe('readGrant', () => {
  const read = (body: unknown, status = 200) =>
    readGrant(
      'Testing',
      new Response(typeof body === 'string' ? body : JSON.stringify(body), { status }),
    )

  it('takes a response without looking at an id token', async () => {
    const grant = await read({
      access_token: 'a',
      token_type: 'Bearer',
      expires_in: '60',
      id_token: 'not one',
    })
    expect(grant).toEqual({
      accessToken: 'a',
      refreshToken: undefined,
      scope: undefined,
      expiresIn: 60,
    })
  })

  it('is retryable when a portal answers with a page', async () => {
    await expect(read('<html>')).rejects.toMatchObject({ retryable: true })
  })

  it.each([{}, { access_token: 7 }, { access_token: 'a', token_type: 'dpop' }])(
    'refuses %j',
    async (body) => {
      await expect(read(body)).rejects.toMatchObject({ code: 'SIGN_IN_FAILED' })
    },
  )
})
