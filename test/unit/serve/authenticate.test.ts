import type { IncomingMessage } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import type { Principal } from '../../../src/auth/principal.js'
import { TokenError } from '../../../src/auth/verify/token-error.js'
import { createAuthenticate } from '../../../src/serve/endpoint.js'
import { createManualClock } from '../../helpers/runtime.js'
import { principal } from '../gateway/support.js'

const newSocket = () => ({}) as IncomingMessage['socket']

function request(
  authorization: string | undefined,
  { socket = newSocket(), raw = authorization === undefined ? [] : [authorization] } = {},
): IncomingMessage {
  const rawHeaders = ['Host', 'p.example', ...raw.flatMap((value) => ['Authorization', value])]
  const headers = authorization === undefined ? {} : { authorization }
  return { socket, headers, rawHeaders } as unknown as IncomingMessage
}

function setUp(verify: (token: string) => Principal | Promise<Principal> = () => principal()) {
  const authenticate = vi.fn(verify)
  const clock = createManualClock()
  return { authenticate, clock, check: createAuthenticate({ authenticate }, clock) }
}

describe('the caller of a request', () => {
  it('[mcp-authz-r10] is who the bearer token says', () => {
    const { check, authenticate } = setUp()
    expect(check(request('Bearer abc.def'))).toEqual({
      principal: principal(),
      accessToken: 'abc.def',
    })
    expect(authenticate).toHaveBeenCalledWith('abc.def')
  })

  it.each(['bearer abc', 'BEARER abc', 'Bearer   abc  '])(
    '[rfc6750-2.1] is found whatever the case and the spaces: %j',
    async (authorization) => {
      expect(await setUp().check(request(authorization))).toMatchObject({ accessToken: 'abc' })
    },
  )

  it.each([
    ['no header', undefined, 'missing'],
    ['an empty header', '', 'malformed'],
    ['no token', 'Bearer', 'malformed'],
    ['an empty token', 'Bearer  ', 'malformed'],
    ['no scheme', 'abc', 'malformed'],
    ['another scheme', 'Basic abc', 'malformed'],
    ['a longer scheme', 'Bearerx abc', 'malformed'],
  ])('[mcp-authz-r5] is refused with %s', async (_title, authorization, reason) => {
    const { check, authenticate } = setUp()
    await expect(check(request(authorization))).rejects.toMatchObject({ reason, status: 401 })
    expect(authenticate).not.toHaveBeenCalled()
  })

  it('is refused with two headers, though Node shows one, also when it was known before', async () => {
    const { check } = setUp()
    const socket = newSocket()
    expect(await check(request('Bearer a', { socket }))).toMatchObject({ accessToken: 'a' })
    const twice = request('Bearer a', { socket, raw: ['Bearer a', 'Bearer b'] })
    await expect(check(twice)).rejects.toMatchObject({ reason: 'malformed' })
  })

  it('is nobody without authentication', () => {
    const check = createAuthenticate(undefined, createManualClock())
    expect(check(request('Bearer abc'))).toEqual({ principal: undefined, accessToken: undefined })
  })

  it.each([
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
    ['rejects with what is no error', () => Promise.reject('broken')],
  ])('is refused when the verifier %s', async (_title, verify) => {
    const refused = setUp(verify).check(request('Bearer abc'))
    await expect(refused).rejects.toBeInstanceOf(TokenError)
    await expect(refused).rejects.toMatchObject({ reason: 'internal', status: 503 })
  })

  it('keeps the reason of a refusal', async () => {
    const verify = () => Promise.reject(new TokenError('expired', 'The access token has expired'))
    await expect(setUp(verify).check(request('Bearer abc'))).rejects.toMatchObject({
      reason: 'expired',
    })
  })
})

describe('the same caller on a connection', () => {
  it('is asked for again after a second, for another token, and on another connection', async () => {
    const { check, clock, authenticate } = setUp()
    const socket = newSocket()
    const first = check(request('Bearer a', { socket }))
    await clock.advance(999)
    expect(check(request('Bearer a', { socket }))).toBe(first)
    expect(authenticate).toHaveBeenCalledTimes(1)
    await clock.advance(1)
    await check(request('Bearer a', { socket }))
    expect(authenticate).toHaveBeenCalledTimes(2)
    await check(request('Bearer b', { socket }))
    expect(authenticate).toHaveBeenLastCalledWith('b')
    await check(request('Bearer b'))
    expect(authenticate).toHaveBeenCalledTimes(4)
  })

  it('is not remembered beyond the expiry of the token', async () => {
    const now = createManualClock().now()
    const { check, clock, authenticate } = setUp(() => principal({ expiresAt: now / 1000 }))
    const socket = newSocket()
    await check(request('Bearer a', { socket }))
    await check(request('Bearer a', { socket }))
    expect(authenticate).toHaveBeenCalledTimes(2)
    expect(clock.now()).toBe(now)
  })

  it('[mcp-authz-r10] needs a token in each request', async () => {
    const { check } = setUp()
    const socket = newSocket()
    await check(request('Bearer a', { socket }))
    await expect(check(request(undefined, { socket }))).rejects.toMatchObject({ reason: 'missing' })
  })

  it('is not remembered before it was verified', async () => {
    const { check, authenticate } = setUp(() => Promise.reject(new Error('slow and wrong')))
    const socket = newSocket()
    const tries = [1, 2].map(() => check(request('Bearer a', { socket })))
    for (const each of tries) await expect(each).rejects.toBeInstanceOf(TokenError)
    expect(authenticate).toHaveBeenCalledTimes(2)
  })
})
