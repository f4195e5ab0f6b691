import { describe, expect, it, vi } from 'vitest'
import { demoCommand } from '../../../src/cli/commands/demo.js'
import { createSteps, type DemoStarters, runDemo } from '../../../src/demo/demo.js'
import {
  createMemoryOAuthProvider,
  followAuthorization,
  readCallback,
} from '../../../src/demo/visitor.js'
import { ProxyError } from '../../../src/util/errors.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const CALLBACK = 'http://127.0.0.1:28682/callback'

const START = new URL('https://issuer.example/authorize?state=s')

/** Answers each URL, without its query, with a redirect or a status. */
function site(pages: Record<string, string | number>) {
  return vi.fn(async (input: string | URL | Request, init?: RequestInit) => {
    expect(init?.redirect).toBe('manual')
    const { origin, pathname } = new URL(String(input))
    const page = pages[`${origin}${pathname}`] ?? 404
    return typeof page === 'number'
      ? new Response('page', { status: page })
      : new Response(null, { status: 302, headers: { location: page } })
  })
}

describe('followAuthorization', () => {
  it('follows absolute and relative redirects and does not open the callback', async () => {
    const fetch = site({
      'https://issuer.example/authorize': '/consent?ok=1',
      'https://issuer.example/consent': 'https://other.example/back',
      'https://other.example/back': `${CALLBACK}?code=c&state=s`,
    })
    const callback = await followAuthorization(START, CALLBACK, fetch)
    expect(callback.href).toBe(`${CALLBACK}?code=c&state=s`)
    expect(fetch).toHaveBeenCalledTimes(3)
  })

  it.each([
    { answer: 200, message: 'got status 200 instead of a redirect' },
    { answer: 500, message: 'got status 500 instead of a redirect' },
    { answer: '/authorize', message: 'redirected more than 10 times' },
    { answer: 'file:///etc/passwd', message: 'was redirected to a "file:" URL' },
    { answer: 'http://[', message: 'got a redirect without a valid URL' },
    { answer: `${CALLBACK}.evil`, message: 'got status 404' },
  ])('gives up at $answer', async ({ answer, message }) => {
    const fetch = site({ 'https://issuer.example/authorize': answer })
    const following = followAuthorization(START, CALLBACK, fetch)
    await expect(following).rejects.toMatchObject({
      code: 'SIGN_IN_FAILED',
      message: expect.stringContaining(message),
    })
  })
})

describe('readCallback', () => {
  it.each([
    { query: 'code=c&state=other', message: 'another "state"' },
    { query: 'code=c', message: 'another "state"' },
    { query: 'error=access_denied&state=s', message: 'was refused: "access_denied"' },
    { query: 'error=x&error_description=No%1b%5b31m&state=s', message: '"No\\u001b[31m"' },
    { query: 'state=s', message: 'without a code' },
  ])('refuses $query', ({ query, message }) => {
    expect(() => readCallback(new URL(`${CALLBACK}?${query}`), 's')).toThrow(message)
  })

  it('returns the code', () => {
    expect(readCallback(new URL(`${CALLBACK}?code=c&state=s`), 's')).toBe('c')
  })
})

describe('createMemoryOAuthProvider', () => {
  it('describes a public native client and keeps what it is given', async () => {
    const provider = createMemoryOAuthProvider('Demo', CALLBACK)
    expect(provider.clientMetadata).toMatchObject({
      redirect_uris: [CALLBACK],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    })
    expect(provider.clientId).toBeUndefined()
    await provider.saveClientInformation?.({ client_id: 'id' })
    await provider.saveTokens({ access_token: 't', token_type: 'Bearer' })
    await provider.redirectToAuthorization(START)
    await provider.saveCodeVerifier('v')
    expect(provider.clientId).toBe('id')
    expect(await provider.tokens()).toEqual(provider.savedTokens)
    expect(provider.authorizationUrl).toBe(START)
    expect(await provider.codeVerifier()).toBe('v')
    expect(await provider.state?.()).toBe(provider.expectedState)
  })
})

describe('createSteps', () => {
  it('names the step that failed, and keeps the hint of its error', async () => {
    const { step, steps } = createSteps({ now: () => 0 }, () => {})
    const broken = async () => {
      throw new ProxyError('LISTEN_FAILED', 'Cannot listen', { hint: 'Choose another port.' })
    }
    await expect(step('x', 'Start it', broken, String)).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: 'The step "Start it" failed: Cannot listen',
      hint: 'Choose another port.',
    })
    expect(steps).toEqual([])
  })

  it('measures the time of a step and begins none after an interruption', async () => {
    let now = 0
    const interruption = new AbortController()
    const heard = vi.fn()
    const { step } = createSteps({ now: () => now }, heard, interruption.signal)
    const result = await step(
      'a',
      'A',
      async () => {
        now = 7
        return 1
      },
      (value) => `got ${value}`,
    )
    expect(result).toBe(1)
    expect(heard).toHaveBeenCalledWith({ id: 'a', title: 'A', detail: 'got 1', ms: 7 })
    interruption.abort()
    await expect(step('b', 'B', async () => 2, String)).rejects.toMatchObject({
      code: 'INTERRUPTED',
    })
  })
})

describe('runDemo', () => {
  it('stops what it started when a step fails', async () => {
    const closed: string[] = []
    const part = (name: string) => ({
      url: `http://${name}.example`,
      close: async () => {
        closed.push(name)
      },
    })
    const starters: DemoStarters = {
      startIdentity: async () => ({ ...part('identity'), configUrl: 'c', set: () => {} }),
      startTarget: async () => ({ ...part('target'), requests: [] }),
      startProxy: async () => part('proxy'),
    }
    const runtime = createTestRuntime({ fetch: async () => new Response('', { status: 200 }) })
    const onListening = vi.fn()
    const running = runDemo(runtime, starters, { onListening, onStep: () => {} })
    await expect(running).rejects.toMatchObject({
      code: 'CHECK_FAILED',
      message: expect.stringContaining('"Call without a token and be refused" failed'),
    })
    expect(closed).toEqual(['proxy', 'target', 'identity'])
    expect(onListening).toHaveBeenCalledTimes(3)
  })
})

describe('demoCommand', () => {
  const parse = (args: string[]) =>
    demoCommand(createTestRuntime())
      .exitOverride()
      .configureOutput({ writeErr: () => {} })
      .parseAsync(args, { from: 'user' })

  it.each([
    [['--port', 'x'], 'from 0 to 65535'],
    [['--port', '65536'], 'from 0 to 65535'],
    [['--log-format', 'xml'], 'Allowed choices are text, json'],
    [['--twice'], "unknown option '--twice'"],
  ])('refuses %j', async (args, message) => {
    await expect(parse(args)).rejects.toThrow(message)
  })
})
