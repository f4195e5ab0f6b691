import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import type { Identity } from '../../../../src/demo/identity/index.js'
import { createState, newSecret, remember } from '../../../../src/demo/identity/state.js'
import { freePort } from '../../../helpers/sign-in.js'
import { postJson, start } from './support.js'

/** Sends a request with a Host of its own, which fetch does not let anybody choose. */
const statusUnder = (identity: Identity, host: string, path = '/__test/secrets') =>
  new Promise<number | undefined>((resolve, reject) => {
    const { port } = new URL(identity.url)
    const options = { hostname: '127.0.0.1', port, path, headers: { host } }
    const sent = request(options, (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    sent.on('error', reject)
    sent.end()
  })

const DEEP = '['.repeat(30_000) + ']'.repeat(30_000)

describe('an emulator on loopback', () => {
  it.each(['evil.example', 'evil.example:80', '127.0.0.1.evil.example', '[::1]evil', 'a b', '@'])(
    'gives nothing to a web page that was led to it as %j',
    async (host) => {
      const identity = await start()
      expect([400, 421]).toContain(await statusUnder(identity, host))
      expect([400, 421]).toContain(await statusUnder(identity, host, '/'))
      expect(identity.requests).toEqual([])
    },
  )

  it.each(['localhost', 'localhost:9', '127.0.0.1', '[::1]:1', 'login.localhost'])(
    'answers as %j',
    async (host) => {
      expect(await statusUnder(await start(), host)).toBe(200)
    },
  )

  it('answers under its public URL too', async () => {
    const port = await freePort()
    const identity = await start({ port, publicUrl: `http://login.example:${port}` })
    expect(await statusUnder(identity, 'login.example')).toBe(200)
    expect(await statusUnder(identity, 'evil.example')).toBe(421)
  })
})

describe('the emulator', () => {
  it('refuses JSON that is nested too deep, and still tells what it was sent', async () => {
    const identity = await start()
    const control = `${identity.url}/__test`
    const headers = { 'content-type': 'application/json' }
    const body = `{"claims":${DEEP}}`
    for (const path of ['/__test/mint', '/__test/options', '/oauth2/v1/token', '/nowhere']) {
      const { status } = await fetch(identity.url + path, { method: 'POST', headers, body })
      expect([400, 404]).toContain(status)
    }
    const told = await fetch(`${control}/requests`)
    expect(await told.json()).toHaveLength(2)
  })

  it('refuses to send a user back to what is no URL', async () => {
    const identity = await start()
    const token = await identity.mint()
    const headers = { authorization: `Bearer ${identity.projectId}:${token}` }
    for (const redirectUrl of ['https://%zz', 'http://[', 'https://a b']) {
      const body = { appId: 'github', options: { redirectUrl } }
      const url = `${identity.url}/v1/mgmt/outbound/app/connect`
      expect(await postJson(url, body, headers)).toMatchObject({ status: 400 })
    }
  })

  it('keeps the bodies of the last requests only, and long ones as text', async () => {
    const identity = await start()
    const send = (body: object) => postJson(`${identity.url}/nowhere`, body)
    await send({ first: true })
    const long = { text: 'x'.repeat(10_000) }
    await send(long)
    expect(identity.requests.map(({ body }) => body)).toEqual([
      { first: true },
      JSON.stringify(long),
    ])
    for (let i = 0; i < 1_000; i++) await send({})
    expect(identity.requests.slice(0, 3).map(({ body }) => body)).toEqual([
      undefined,
      undefined,
      {},
    ])
  })

  it('keeps no more of anything than fits, however much it is sent', () => {
    const parts = [{ device: true }, undefined, undefined] as unknown
    const [options, clock, keys] = parts as Parameters<typeof createState>
    const state = createState(
      { ...options, clients: [], accessKeys: [], managementKeys: [], connections: [], fail: [] },
      clock,
      keys,
    )
    const growing = Object.entries(state).filter(
      (entry): entry is [string, Map<unknown, unknown>] =>
        entry[1] instanceof Map && entry[0] !== 'refreshedConnections',
    )
    expect(growing.map(([name]) => name).sort()).toEqual(
      [
        ...['clients', 'codes', 'connects', 'devices', 'pending', 'projectTokens', 'pushed'],
        ...['refreshTokens', 'secrets', 'seenIds'],
      ].sort(),
    )
    for (const [, map] of growing) {
      for (let i = 0; i < 30_000; i++) map.set(i, true)
      expect(map.size).toBeLessThanOrEqual(20_000)
    }
    state.secrets.clear()
    remember(state, 'x'.repeat(20_000), newSecret(state))
    expect(state.secrets.size).toBe(1)
  })
})

it('an emulator that all machines reach answers under any Host', async () => {
  const identity = await start({ host: '0.0.0.0' })
  expect(await statusUnder(identity, 'identity.internal:8080')).toBe(200)
})
