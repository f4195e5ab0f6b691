import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import type { Principal } from '../../../src/auth/principal.js'
import type { Descope } from '../../../src/auth/resource-server.js'
import { TokenError } from '../../../src/auth/verify/token-error.js'
import { resolveConfig } from '../../../src/config/load.js'
import type { Gateway } from '../../../src/gateway/gateway.js'
import { createApp } from '../../../src/serve/app.js'
import { createLogger } from '../../../src/util/logger.js'
import { clock, startStack } from '../../helpers/stack.js'
import { call, send } from '../../helpers/targets/raw-client.js'
import { startRecordingTarget } from '../../helpers/targets/recording.js'

const SOMEBODY: Principal = {
  issuer: 'https://issuer.example',
  subject: 'U1',
  clientId: 'C1',
  scopes: new Set(),
  tenant: undefined,
  roles: [],
  permissions: [],
  expiresAt: 4_000_000_000,
}

let server: Server | undefined

afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** Serves the real routes with parts that fail; tells what reached the gateway. */
async function serveWith(descope: Partial<Descope>, gateway: Partial<Gateway> = {}) {
  const reached: string[] = []
  const configUrl =
    'https://issuer.example/P2abcdefghijklmnopqrstuvwxyz0/.well-known/openid-configuration'
  const { config } = resolveConfig(
    { descope: { configUrl }, targets: { target: { url: 'http://127.0.0.1:9/mcp' } } },
    { env: {} },
  )
  const app = createApp({
    config,
    endpoints: [
      {
        target: undefined,
        path: '/mcp',
        resource: 'http://localhost:8000/mcp',
        gateway: {
          targets: [],
          post: (exchange) => {
            reached.push('post')
            exchange.reply.json(200, '{}')
          },
          listen: (exchange) => {
            reached.push('listen')
            exchange.reply.empty(200)
          },
          end: (exchange) => {
            reached.push('end')
            exchange.reply.empty(200)
          },
          close: async () => undefined,
          ...gateway,
        },
        descope: { scopesSupported: () => [], ...descope } as Descope,
      },
    ],
    targets: [],
    frontUrl: 'http://localhost:8000',
    clock,
    logger: createLogger({
      io: { err: () => undefined },
      clock,
      level: 'silent',
      format: 'json',
      redact: (text) => text,
    }),
  })
  server = createServer(app.handle)
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  return { url, reached, stop: app.stop }
}

const headers = { authorization: 'Bearer some.token.x' }

describe('an exception while the token is checked', () => {
  const thrown: [string, unknown][] = [
    ['an Error', new Error('out of memory')],
    ['a TypeError', new TypeError('x is undefined')],
    ['undefined', undefined],
    ['null', null],
    ['a string', 'no'],
    ['an object with a principal', { principal: SOMEBODY, status: 200 }],
    ['a refusal', new TokenError('bad_signature', 'bad')],
  ]
  it.each(thrown)('that is %s is a refusal on every verb', async (_title, error) => {
    for (const authenticate of [
      () => {
        throw error
      },
      () => Promise.reject(error),
    ]) {
      const { url, reached, stop } = await serveWith({ authenticate })
      const status = error instanceof TokenError ? 401 : 503
      for (const method of ['POST', 'GET', 'DELETE', 'PUT']) {
        const answer = await send(url, { method, headers })
        expect(answer.status).toBe(status)
        expect(answer.body).not.toContain('memory')
      }
      const elsewhere = await send(`${url}/elsewhere`, { method: 'GET', headers })
      expect(elsewhere.status).toBe(status)
      expect(reached).toEqual([])
      stop()
      server?.closeAllConnections()
    }
  })

  it('lets nobody in when the challenge itself cannot be made', async () => {
    const { url, reached, stop } = await serveWith({
      authenticate: () => Promise.reject(new TokenError('expired', 'expired')),
      scopesSupported: () => {
        throw new Error('no document')
      },
    })
    const answer = await send(url, { headers, body: {} })
    expect(answer.status).toBe(500)
    expect(reached).toEqual([])
    stop()
  })
})

describe('an exception behind the check', () => {
  it.each([
    ['POST', 'at once', () => SOMEBODY],
    ['GET', 'at once', () => SOMEBODY],
    ['DELETE', 'at once', () => SOMEBODY],
    ['POST', 'later', async () => SOMEBODY],
    ['GET', 'later', async () => SOMEBODY],
    ['DELETE', 'later', async () => SOMEBODY],
  ])('on %s, with the caller known %s, is an answer', async (method, _when, authenticate) => {
    const fail = () => {
      throw new Error('out of memory')
    }
    const parts = { post: fail, listen: fail, end: fail }
    const { url, stop } = await serveWith({ authenticate }, parts)
    const body = { jsonrpc: '2.0', id: 1, method: 'ping' }
    const answer = await send(
      url,
      method === 'POST' ? { method, headers, body } : { method, headers },
    )
    expect(answer.status).toBe(500)
    expect(answer.body).not.toContain('memory')
    stop()
  })
})

describe('Descope', () => {
  it('that loses its keys while we run stops nobody whose key we know', async () => {
    const target = await startRecordingTarget()
    const stack = await startStack({ targets: { target: target.url } })
    try {
      const known = await stack.token()
      stack.identity.set({ fail: [{ path: '/jwks.json', status: 500, times: 50 }] })
      const ask = (token: string) =>
        call(stack.url, 'tools/list', {}, { headers: { authorization: `Bearer ${token}` } })
      expect((await ask(known)).status).toBe(200)
      await stack.identity.rotateKeys()
      const unknown = await ask(await stack.token())
      expect([401, 503]).toContain(unknown.status)
      expect((await ask(known)).status).toBe(200)
      expect(target.of('tools/list')).toHaveLength(2)
    } finally {
      await stack.close()
      await target.close()
    }
  })

  it('is asked once for its keys, however many tokens of an unknown key come', async () => {
    const target = await startRecordingTarget()
    const stack = await startStack({ targets: { target: target.url } })
    try {
      const tokens = await Promise.all(
        Array.from({ length: 100 }, (_, i) =>
          stack.identity.mint({ aud: stack.server.resource }, { kid: `unknown-${i}` }),
        ),
      )
      const before = stack.identity.requests.length
      const answers = await Promise.all(
        tokens.map((token) =>
          call(stack.url, 'ping', {}, { headers: { authorization: `Bearer ${token}` } }),
        ),
      )
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]))
      expect(stack.identity.requests.length - before).toBeLessThanOrEqual(1)
      expect(target.requests).toHaveLength(0)
    } finally {
      await stack.close()
      await target.close()
    }
  })
})
