import { EmbeddedJWK, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import type { HttpDeps } from '../../../../src/auth/oauth/http.js'
import {
  accessHeaders,
  newProofKey,
  proveRequest,
  useProofKey,
} from '../../../../src/auth/oauth/proof-keys.js'
import { assumedAuthorizationServer } from '../../../../src/auth/oauth/server-metadata.js'
import { readGrant, refreshGrant } from '../../../../src/auth/oauth/token-endpoint.js'
import { createClock } from '../../../../src/util/async.js'

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

  it('takes a bound token only where a key was proved, and says what is bound', async () => {
    const answer = (type: string) => Response.json({ access_token: 'a', token_type: type })
    const bound = await readGrant('Testing', answer('DPoP'), 'the key')
    expect(bound).toMatchObject({ accessToken: 'a', proofKey: 'the key' })
    const bearer = await readGrant('Testing', answer('Bearer'), 'the key')
    expect(bearer).not.toHaveProperty('proofKey')
    await expect(readGrant('Testing', answer('mac'), 'the key')).rejects.toThrow('token_type')
  })
})

describe('a grant that was to be bound to a key', () => {
  const server = {
    ...assumedAuthorizationServer('http://127.0.0.1:9'),
    tokenEndpoint: 'http://127.0.0.1:9/token',
  }
  const client = {
    ...{ id: 'c', secret: undefined, redirectUris: [] },
    ...{ authMethod: 'none' as const, source: 'static' as const },
  }
  const request = { server, client, resource: undefined, refreshToken: 'r' }
  /** Answers with a Bearer token, and remembers which proofs came. */
  const downgrading = () => {
    const proofs: (string | null)[] = []
    const fetch = async (_url: unknown, init?: RequestInit) => {
      proofs.push(new Headers(init?.headers).get('dpop'))
      return Response.json({ access_token: 'a', token_type: 'Bearer' })
    }
    return { proofs, deps: { clock: createClock(), fetch } as unknown as HttpDeps }
  }

  it('is refused as Bearer where the key is required, as at every refresh', async () => {
    const { proofs, deps } = downgrading()
    const proofKey = await newProofKey()
    await expect(
      refreshGrant(deps, { ...request, proof: 'required', proofKey }),
    ).rejects.toMatchObject({ refusal: { kind: 'grant', code: 'not_bound' } })
    expect(proofs).toEqual([expect.stringMatching(/^[\w-]+\.[\w-]+\.[\w-]+$/)])
  })

  it('is taken as Bearer where that is taken too, and never proved where nobody asks', async () => {
    const { proofs, deps } = downgrading()
    expect(await refreshGrant(deps, { ...request, proof: 'offered' })).toMatchObject({
      accessToken: 'a',
    })
    await refreshGrant(deps, request)
    expect(proofs).toEqual([expect.any(String), null])
  })
})

describe('the header of an access token', () => {
  it('is DPoP with the key at hand, and none for a bound token without it', async () => {
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const bound = `${part({ alg: 'RS256' })}.${part({ cnf: { jkt: 'k' } })}.s`
    expect(accessHeaders('opaque')).toEqual({ authorization: 'Bearer opaque' })
    expect(() => accessHeaders(bound)).toThrow('bound to a key (cnf) that is not here')
    const where = { method: 'POST', url: new URL('https://a.example/mcp?q#f'), nonce: 'n', now: 0 }
    expect(() => proveRequest({ ...where, token: bound })).toThrow('not here')
    useProofKey(bound, await newProofKey())
    expect(accessHeaders(bound)).toEqual({ authorization: `DPoP ${bound}` })
    const proof = proveRequest({ ...where, token: bound })
    const { payload } = await jwtVerify(proof, EmbeddedJWK, { typ: 'dpop+jwt' })
    expect(payload).toMatchObject({ htm: 'POST', htu: 'https://a.example/mcp', iat: 0, nonce: 'n' })
  })

  it('is not made with a damaged key', () => {
    for (const key of ['', '{}', '{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}']) {
      expect(() => useProofKey('t', key)).toThrow('is damaged')
    }
  })
})
