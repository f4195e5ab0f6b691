import { request as httpRequest } from 'node:http'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { startIdentity } from '../../../../src/demo/identity/index.js'
import {
  discover,
  movableClock,
  postForm,
  postJson,
  RESOURCE,
  read,
  refresh,
  signedIn,
  start,
} from './support.js'

describe('options', () => {
  it.each([
    ['an unknown member', { isuer: 'agentic' }, 'isuer'],
    ['a wrong value', { issuer: 'own' }, 'issuer'],
    ['a wrong type', { ttl: 'long' }, 'ttl'],
    ['a wrong member inside', { clients: [{ id: 'x' }] }, 'clients[0]'],
  ])('refuse %s and name it', async (_name, options, name) => {
    const attempt = startIdentity({ clock: movableClock(), ...(options as object) })
    await expect(attempt).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining(name),
    })
  })

  it('refuse to move a running emulator', async () => {
    const identity = await start()
    expect(() => identity.set({ port: 1 })).toThrow(expect.objectContaining({ code: 'USAGE' }))
  })

  it('fix the ids, and so the configuration URL', async () => {
    const projectId = `P${'a'.repeat(27)}`
    const serverId = `MS${'b'.repeat(27)}`
    const identity = await start({ projectId, serverId })
    expect(identity.configUrl).toBe(
      `${identity.url}/v1/apps/agentic/${projectId}/${serverId}/.well-known/openid-configuration`,
    )
    expect(identity.projectConfigUrl).toBe(
      `${identity.url}/v1/apps/${projectId}/.well-known/openid-configuration`,
    )
  })

  it('make random ids of the right length', async () => {
    const { projectId, serverId } = await start()
    expect(projectId).toMatch(/^P[A-Za-z0-9]{27}$/)
    expect(serverId).toMatch(/^MS[A-Za-z0-9]{27}$/)
  })

  it('name another origin in the documents', async () => {
    const identity = await start({ publicUrl: 'https://auth.example.com/' })
    expect(identity.issuer).toMatch(/^https:\/\/auth\.example\.com\/v1\/apps\/agentic\//)
  })

  it('write an IPv6 host in brackets, and loopback for any address', async () => {
    expect((await start({ host: '::1' })).url).toMatch(/^http:\/\/\[::1\]:\d+$/)
    expect((await start({ host: '0.0.0.0' })).url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  })

  it('report a port that is taken', async () => {
    const { url } = await start()
    const port = Number(new URL(url).port)
    await expect(startIdentity({ clock: movableClock(), port })).rejects.toMatchObject({
      code: 'LISTEN_FAILED',
    })
  })

  it('switch the path-inserted document on', async () => {
    const { url, projectId, serverId, set } = await start()
    const path = `/.well-known/oauth-authorization-server/v1/apps/agentic/${projectId}/${serverId}`
    expect((await fetch(url + path)).status).toBe(404)
    set({ pathInserted: true })
    expect(await (await fetch(url + path)).json()).toHaveProperty('registration_endpoint')
  })

  it('set the life of tokens, and the times follow the clock', async () => {
    const identity = await start({ ttl: 5 })
    identity.clock.advance(1_000_000)
    const { iat, exp } = decodeJwt(await identity.mint())
    expect((exp as number) - (iat as number)).toBe(5)
    expect(iat).toBeGreaterThan(Date.now() / 1000 + 999_000)
  })
})

describe('failures', () => {
  it('come as often as asked, with their body and Retry-After', async () => {
    const identity = await start({
      fail: [{ path: '/token', status: 429, times: 2, retryAfter: 7 }],
    })
    const as = await discover(identity)
    const ask = () => postForm(as.token_endpoint, { grant_type: 'x' })
    const first = await ask()
    expect(first.headers.get('retry-after')).toBe('7')
    identity.set({ ttl: 60 })
    expect([first.status, (await ask()).status, (await ask()).status]).toEqual([429, 429, 400])
    expect(identity.counters.failures).toBe(2)
  })

  it.each([
    ['<html>Bad gateway</html>', 'text/html'],
    ['busy', 'text/plain'],
    [{ error: 'temporarily_unavailable' }, 'application/json; charset=utf-8'],
  ])('can answer with %j as %s', async (body, type) => {
    const identity = await start({ fail: [{ path: '/jwks.json', status: 503, body }] })
    const url = `${identity.url}/${identity.projectId}/.well-known/jwks.json`
    const response = await fetch(url)
    expect([response.status, response.headers.get('content-type')]).toEqual([503, type])
    expect(await response.text()).toBe(typeof body === 'string' ? body : JSON.stringify(body))
  })

  it('leave the refresh token good when they come instead of the work', async () => {
    const identity = await start()
    const { as, client, tokens } = await signedIn(identity)
    identity.set({ fail: [{ path: '/token', status: 500 }] })
    await expect(refresh(as, client, tokens.refresh_token)).rejects.toThrow()
    await expect(refresh(as, client, tokens.refresh_token)).resolves.toBeDefined()
  })

  it('can lose the answer after the work is done', async () => {
    const identity = await start()
    const { as, client, tokens } = await signedIn(identity)
    identity.set({ fail: [{ path: '/token', status: 0, afterHandling: true }] })
    await expect(refresh(as, client, tokens.refresh_token)).rejects.toThrow('fetch failed')
    expect(identity.counters.refreshes).toBe(1)
    await expect(refresh(as, client, tokens.refresh_token)).rejects.toThrow()
    expect(identity.counters.reuses).toBe(1)
    identity.set({ fail: [{ path: '/token', status: 0, afterHandling: true }] })
    await expect(refresh(as, client, 'wrong')).rejects.toThrow('fetch failed')
  })

  it('can be a delay', async () => {
    const identity = await start({ delayMs: 1_000 })
    const late = fetch(identity.configUrl).then(() => 'late')
    const early = new Promise((resolve) => setTimeout(() => resolve('early'), 100))
    expect(await Promise.race([late, early])).toBe('early')
    expect(await late).toBe('late')
  })
})

describe('request log and secrets', () => {
  it('records requests with parsed bodies and their status', async () => {
    const identity = await start()
    const { client } = await signedIn(identity, { resource: RESOURCE })
    const [document, registration, authorization, token] = identity.requests
    expect(document).toMatchObject({ method: 'GET', status: 200 })
    expect(registration).toMatchObject({ status: 201, body: { application_type: 'native' } })
    expect(authorization).toMatchObject({ status: 302, query: { resource: RESOURCE } })
    expect(token).toMatchObject({
      status: 200,
      body: { grant_type: 'authorization_code', client_id: client.client_id, resource: RESOURCE },
      headers: { 'content-type': expect.stringContaining('form') },
    })
  })

  it('knows every secret that went in or out', async () => {
    const identity = await start({
      clients: [{ clientId: 'machine', clientSecret: 'machine-secret' }],
      accessKeys: [{ key: 'K2secret' }],
      managementKeys: ['K2management'],
      connections: [{ appId: 'a', accessToken: 'gho_x', refreshToken: 'ghr_x' }],
    })
    const { tokens } = await signedIn(identity)
    const minted = await identity.mint()
    const [, , authorization, token] = identity.requests
    const sent = token?.body as Record<string, string>
    for (const secret of [
      ...[tokens.access_token, tokens.refresh_token, minted, sent['code'], sent['code_verifier']],
      authorization?.query['code_challenge'],
      ...['machine-secret', 'K2secret', 'K2management', 'gho_x', 'ghr_x'],
    ]) {
      expect(identity.issuedSecrets()).toContain(secret)
    }
    expect(identity.issuedSecrets()).not.toContain('')
  })
})

describe('control over HTTP', () => {
  it('describes the emulator and changes its options', async () => {
    const identity = await start()
    const state = () => fetch(`${identity.url}/__test/state`).then(read)
    const answer = await postJson(`${identity.url}/__test/options`, { device: true, ttl: 9 })
    expect(answer.status).toBe(200)
    expect((await state()).body).toMatchObject({
      configUrl: identity.configUrl,
      projectId: identity.projectId,
      options: { device: true, ttl: 9 },
      counters: { documents: 0 },
    })
    const wrong = await postJson(`${identity.url}/__test/options`, { devise: true })
    expect(wrong).toMatchObject({ status: 400, body: { errorMessage: expect.any(String) } })
  })

  it('mints, rotates keys and revokes consents', async () => {
    const identity = await start()
    const { as, client, tokens } = await signedIn(identity)
    const post = (path: string, body: object) => postJson(`${identity.url}/__test${path}`, body)
    const { body } = await post('/mint', { claims: { sub: 'U2x' }, remove: ['exp'] })
    expect(decodeJwt(body.token)).toMatchObject({ sub: 'U2x' })
    expect(decodeJwt(body.token)).not.toHaveProperty('exp')
    const unsigned = await post('/mint', { header: { alg: 'none' }, key: 'foreign' })
    expect(decodeProtectedHeader(unsigned.body.token).alg).toBe('none')
    const rotated = await post('/keys/rotate', { keepPrevious: false })
    expect(rotated.body.kid).not.toBe(decodeProtectedHeader(tokens.access_token).kid)
    await post('/consents/revoke', {})
    await expect(refresh(as, client, tokens.refresh_token)).rejects.toThrow()
  })

  it.each([
    ['approve', 'tokens'],
    ['deny', 'access_denied'],
  ])('can %s a device', async (decision, outcome) => {
    const identity = await start({ device: true, clients: [{ clientId: 'tv' }] })
    const { url } = identity
    const { body } = await postForm(`${url}/oauth2/v1/apps/device`, { client_id: 'tv' })
    const decide = (userCode: string) => postJson(`${url}/__test/device/${decision}`, { userCode })
    expect((await decide(body.user_code)).status).toBe(200)
    expect((await decide(body.user_code)).status).toBe(404)
    const poll = await postForm(`${url}/oauth2/v1/token`, {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      client_id: 'tv',
      device_code: body.device_code,
    })
    expect(poll.body.error ?? 'tokens').toBe(outcome)
  })

  it('forgets registered clients', async () => {
    const identity = await start()
    const { as, client, tokens } = await signedIn(identity)
    await fetch(`${identity.url}/__test/clients`, { method: 'DELETE' })
    await expect(refresh(as, client, tokens.refresh_token)).rejects.toThrow()
  })

  it('gives and clears the request log, and gives the secrets', async () => {
    const identity = await start({ managementKeys: ['K2management'] })
    await fetch(identity.configUrl)
    const log = `${identity.url}/__test/requests`
    expect((await fetch(log).then(read)).body).toHaveLength(1)
    await fetch(log, { method: 'DELETE' })
    expect((await fetch(log).then(read)).body).toEqual([])
    const secrets = await fetch(`${identity.url}/__test/secrets`).then(read)
    expect(secrets.body).toEqual(['K2management'])
  })

  it('cannot be driven by a web page', async () => {
    const { url } = await start()
    for (const path of ['options', 'mint', 'keys/rotate', 'consents/revoke', 'device/approve']) {
      const response = await fetch(`${url}/__test/${path}`, {
        method: 'POST',
        headers: { 'content-type': 'text/plain' },
        body: '{}',
      })
      expect(response.status).toBe(400)
      expect(response.headers.has('access-control-allow-origin')).toBe(false)
    }
  })

  it('is not delayed and does not fail', async () => {
    const { url } = await start({ delayMs: 10_000, fail: [{ path: '/state', status: 500 }] })
    expect((await fetch(`${url}/__test/state`)).status).toBe(200)
  })
})

describe('documents', () => {
  it('answer HEAD, and OPTIONS and GET for web pages of any origin', async () => {
    const identity = await start()
    const head = await fetch(identity.configUrl, { method: 'HEAD' })
    expect([head.status, await head.text()]).toEqual([200, ''])
    const options = await fetch(identity.configUrl, { method: 'OPTIONS' })
    expect(options.status).toBe(204)
    for (const response of [head, options, await fetch(identity.configUrl)]) {
      expect(response.headers.get('access-control-allow-origin')).toBe('*')
    }
  })
})

describe('close', () => {
  it('ends open connections and is done', async () => {
    const identity = await startIdentity({ clock: movableClock(), delayMs: 60_000 })
    const pending = fetch(identity.configUrl).catch((error: Error) => error.message)
    await expect.poll(() => identity.requests.length).toBe(1)
    await identity.close()
    expect(await pending).toBe('fetch failed')
  })
})

describe('request targets', () => {
  it('are read in absolute form too, and a malformed one is not found', async () => {
    const identity = await start()
    const { port } = new URL(identity.url)
    const get = (path: string) =>
      new Promise((resolve, reject) => {
        const request = httpRequest({ port, host: '127.0.0.1', path }, (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        request.on('error', reject).end()
      })
    expect(await get(identity.configUrl)).toBe(200)
    expect(await get('http://[bad/x')).toBe(404)
    expect(await get('//other.example/x')).toBe(404)
  })
})
