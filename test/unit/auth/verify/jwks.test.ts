import { exportJWK, generateKeyPair } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { createKeyStore, processKeySet } from '../../../../src/auth/verify/jwks.js'
import { TokenError } from '../../../../src/auth/verify/token-error.js'
import type { JsonObject } from '../../../../src/util/json.js'
import {
  createSigningKey,
  createTestClock,
  createTestLogger,
  type Handler,
  listen,
  type SigningKey,
  sendJson,
  until,
} from '../support.js'

const MINUTE = 60_000

const HOUR = 60 * MINUTE

let first: SigningKey

let second: SigningKey

beforeAll(async () => {
  first = await createSigningKey('first')
  second = await createSigningKey('second')
})

/** A key server whose answer can be exchanged, and a store that uses it. */
async function setUp() {
  const state: { answer: Handler } = {
    answer: (_request, response) => sendJson(response, { keys: [first.jwk] }),
  }
  const server = await listen((request, response) => state.answer(request, response))
  const clock = createTestClock()
  const logger = createTestLogger()
  const url = () => `${server.base}/keys`
  const store = createKeyStore({ runtime: { fetch, clock }, logger, url })
  const refusal = async (kid: string) => {
    const outcome = await store.get(kid).catch((error: unknown) => error)
    return outcome instanceof TokenError ? outcome.reason : 'found'
  }
  const serve = (...keys: SigningKey[]) => {
    state.answer = (_request, response) => sendJson(response, { keys: keys.map(({ jwk }) => jwk) })
  }
  const fail = (status = 503) => {
    state.answer = (_request, response) => void response.writeHead(status).end('down')
  }
  return {
    store,
    clock,
    logger,
    refusal,
    serve,
    fail,
    fetches: () => server.requests.length,
    state,
  }
}

describe('a key store', () => {
  it('has no keys before it loaded them, and asks nobody for them', async () => {
    const { store, refusal, fetches } = await setUp()
    expect(store.state()).toBe('missing')
    expect(await refusal('first')).toBe('keys_unavailable')
    expect(fetches()).toBe(0)
  })

  it('loads once for all who wait, and keeps the keys', async () => {
    const { store, refusal, fetches } = await setUp()
    await Promise.all([store.load(), store.load(), store.load()])
    expect(await refusal('first')).toBe('found')
    expect(fetches()).toBe(1)
    expect(store.state()).toBe('ok')
  })

  it('finds a key that was rotated in with one fetch at once', async () => {
    const { store, refusal, serve, fetches } = await setUp()
    await store.load()
    serve(second)
    expect(await Promise.all([refusal('second'), refusal('second')])).toEqual(['found', 'found'])
    expect(await refusal('first')).toBe('unknown_key')
    expect(fetches()).toBe(2)
  })

  it('fetches at most once in 30 s however many unknown keys are asked for', async () => {
    const { store, refusal, clock, fetches } = await setUp()
    await store.load()
    for (let round = 1; round <= 3; round++) {
      const flood = Array.from({ length: 10_000 }, (_, index) => refusal(`${round}-${index}`))
      expect(new Set(await Promise.all(flood))).toEqual(new Set(['unknown_key']))
      clock.advance(29_999)
      expect(await refusal('late')).toBe('unknown_key')
      expect(fetches()).toBe(1 + round)
      clock.advance(1)
    }
  })

  it('finds a rotated key after a flood as soon as 30 s are over', async () => {
    const { store, refusal, clock, serve } = await setUp()
    await store.load()
    await refusal('flood')
    serve(first, second)
    clock.advance(29_999)
    expect(await refusal('second')).toBe('unknown_key')
    clock.advance(1)
    expect(await refusal('second')).toBe('found')
  })

  it('serves keys through an outage of a day, and not longer', async () => {
    const { store, refusal, clock, fail, serve } = await setUp()
    await store.load()
    fail()
    clock.advance(HOUR)
    expect(await refusal('first')).toBe('found')
    await until(() => store.state() === 'stale')
    clock.advance(23 * HOUR)
    expect(await refusal('first')).toBe('found')
    clock.advance(1)
    expect(await refusal('first')).toBe('keys_unavailable')
    expect(store.state()).toBe('missing')
    serve(first)
    clock.advance(30_000)
    expect(await refusal('first')).toBe('found')
    expect(store.state()).toBe('ok')
  })

  it('blames the outage, not the token, when a new key cannot be fetched', async () => {
    const { store, refusal, fail, logger } = await setUp()
    await store.load()
    fail()
    expect(await refusal('second')).toBe('keys_unavailable')
    expect(await refusal('second')).toBe('keys_unavailable')
    expect(await refusal('first')).toBe('found')
    expect(logger.events()).toEqual(['keys_refresh_failed'])
  })

  it('keeps its keys when the new set is hostile', async () => {
    const { store, refusal, state } = await setUp()
    await store.load()
    state.answer = (_request, response) => sendJson(response, { keys: [{ kty: 'oct', k: 'AAAA' }] })
    expect(await refusal('second')).toBe('keys_unavailable')
    expect(await refusal('first')).toBe('found')
  })

  it('fetches in the background after 10 minutes, and drops what was withdrawn', async () => {
    const { store, refusal, clock, serve, fetches } = await setUp()
    await store.load()
    serve(second)
    clock.advance(10 * MINUTE + 1)
    expect(await refusal('first')).toBe('found')
    await until(() => fetches() === 2)
    await until(() => clock.waiting === 0)
    expect(await refusal('first')).toBe('unknown_key')
    expect(await refusal('second')).toBe('found')
  })

  it('fetches before it gives out a key after an hour without use', async () => {
    const { store, refusal, clock, serve } = await setUp()
    await store.load()
    serve(second)
    clock.advance(HOUR + 1)
    expect(await refusal('first')).toBe('unknown_key')
  })

  it('looks after old keys when only its state is asked for', async () => {
    const { store, clock, fetches } = await setUp()
    await store.load()
    clock.advance(25 * HOUR)
    expect(store.state()).toBe('missing')
    await until(() => store.state() === 'ok')
    expect(fetches()).toBe(2)
  })

  it('gives up on a server that does not finish its answer', async () => {
    const { store, clock, state, fetches } = await setUp()
    state.answer = (_request, response) => void response.writeHead(200).write('{"keys":[')
    const loading = store.load().catch((error: unknown) => error)
    await until(() => fetches() === 1)
    clock.advance(5_000)
    expect(await loading).toMatchObject({
      code: 'ISSUER_UNREACHABLE',
      message: expect.stringMatching(/\/keys did not answer: no complete answer within 5 s$/),
    })
  })
})

describe('processKeySet', () => {
  const url = 'https://api.descope.com/keys'
  const reply = (body: unknown, status = 200) => ({
    status,
    headers: new Headers(),
    text: JSON.stringify(body),
  })

  it('keeps RSA signature keys and leaves all others out', async () => {
    const ec = await generateKeyPair('ES256', { extractable: true })
    const weak = await createWeakKey()
    const variants: JsonObject[] = [
      { ...first.jwk },
      { ...first.jwk, kid: 'first', n: second.jwk.n },
      { ...first.jwk, kid: 'no-alg', alg: undefined, use: undefined },
      { ...first.jwk, kid: 'ops', key_ops: ['verify'] },
      { ...first.jwk, kid: 'sign-only', key_ops: ['sign'] },
      { ...first.jwk, kid: 'encryption', use: 'enc' },
      { ...first.jwk, kid: 'other-alg', alg: 'RS512' },
      { ...first.jwk, kid: '' },
      { ...first.jwk, kid: undefined },
      { ...first.jwk, kid: 'no-modulus', n: undefined },
      { ...first.jwk, kid: 'bad-modulus', n: '!!!' },
      { ...weak, kid: 'weak' },
      { kty: 'oct', k: 'AAAA', kid: 'symmetric', alg: 'RS256' },
      { ...(await exportJWK(ec.publicKey)), kid: 'elliptic' },
    ]
    const keys = await processKeySet(reply({ keys: [null, 'x', ...variants] }), url)
    expect([...keys.keys()]).toEqual(['first', 'no-alg', 'ops'])
    expect((await exportJWK(keys.get('first')!)).n).toBe(first.jwk.n)
    expect(keys.get('first')).toMatchObject({ type: 'public', usages: ['verify'] })
  })

  it.each([
    { body: { keys: [] }, status: 200, code: 'DISCOVERY_INVALID' },
    { body: { keys: {} }, status: 200, code: 'DISCOVERY_INVALID' },
    { body: [], status: 200, code: 'DISCOVERY_INVALID' },
    { body: { keys: [] }, status: 404, code: 'DISCOVERY_INVALID' },
    { body: {}, status: 302, code: 'DISCOVERY_INVALID' },
    { body: {}, status: 429, code: 'ISSUER_UNREACHABLE' },
    { body: {}, status: 500, code: 'ISSUER_UNREACHABLE' },
  ])('refuses $status $body with $code', async ({ body, status, code }) => {
    await expect(processKeySet(reply(body, status), url)).rejects.toMatchObject({ code })
  })
})

async function createWeakKey(): Promise<JsonObject> {
  const { publicKey } = await crypto.subtle.generateKey(
    {
      name: 'RSASSA-PKCS1-v1_5',
      modulusLength: 1024,
      publicExponent: new Uint8Array([1, 0, 1]),
      hash: 'SHA-256',
    },
    true,
    ['sign', 'verify'],
  )
  return { ...(await crypto.subtle.exportKey('jwk', publicKey)), alg: 'RS256' }
}
