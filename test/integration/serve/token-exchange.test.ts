import { generateKeyPairSync } from 'node:crypto'
import { decodeJwt } from 'jose'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { type Identity, startIdentity } from '../../../src/demo/identity/index.js'
import { clock, readMessage, startStack } from '../../helpers/stack.js'
import { type RecordingTarget, startRecordingTarget } from '../../helpers/targets/recording.js'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const PEM = privateKey.export({ format: 'pem', type: 'pkcs8' }).toString()
const JWK = JSON.stringify(privateKey.export({ format: 'jwk' }))

const KEY_OF_CLIENT = `\${KEY}`

let identity: Identity
let target: RecordingTarget
beforeAll(async () => {
  const jwk = publicKey.export({ format: 'jwk' }) as {
    kty: 'EC'
    crv: 'P-256'
    x: string
    y: string
  }
  identity = await startIdentity({
    clock,
    agenticExchange: false,
    clients: [{ clientId: 'keyed', publicKey: jwk }, { clientId: 'plain' }],
  })
  target = await startRecordingTarget()
})
afterAll(async () => {
  await target.close()
  await identity.close()
})

async function callWith(credential: object, env: Record<string, string> = {}) {
  const targets = { t: { url: target.url, credential: credential as { type: 'token-exchange' } } }
  const stack = await startStack({ identity, targets, env })
  onTestFinished(() => stack.close())
  target.clear()
  const answer = await readMessage(
    await stack.post({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't_echo' } }),
  )
  const sent = target.of('tools/call').at(-1)?.headers.authorization?.slice('Bearer '.length)
  return { answer, claims: sent === undefined ? undefined : decodeJwt(sent), log: stack.logText() }
}

it.each([
  ['no client at all', {}, {}],
  ['a client that is only named', { clientId: 'plain' }, {}],
  ['a client with a PEM key', { clientId: 'keyed', clientKey: KEY_OF_CLIENT }, { KEY: PEM }],
  ['a client with a JWK', { clientId: 'keyed', clientKey: KEY_OF_CLIENT }, { KEY: JWK }],
])("exchanges at the project's shared endpoint with %s", async (_title, client, env) => {
  const audience = ['urn:one', 'urn:two']
  const credential = { type: 'token-exchange', resource: 'urn:my-api', audience, ...client }
  const { claims, log } = await callWith(credential, env as Record<string, string>)
  expect(claims?.aud).toEqual(expect.arrayContaining(['urn:my-api', ...audience]))
  expect(log).not.toContain('PRIVATE KEY')
})

it('gets client credentials by a key', async () => {
  const tokenUrl = `${identity.url}/oauth2/v1/apps/token`
  const credential = {
    type: 'client-credentials',
    clientId: 'keyed',
    clientKey: KEY_OF_CLIENT,
    tokenUrl,
  }
  const { claims } = await callWith(credential, { KEY: PEM })
  expect(claims?.['azp']).toBe('keyed')
})

it.each([401, 403] as const)(
  'says in the answer and in the log which Policy to make when an exchange is refused with %s',
  async (status) => {
    identity.set({ delegatedAccess: status })
    onTestFinished(() => identity.set({ delegatedAccess: true }))
    const { answer, log } = await callWith({ type: 'token-exchange' })
    expect(answer.error.message).toMatch(/Policy in the Descope console.*Delegated access/)
    expect(log).toMatch(/Policy in the Descope console.*Delegated access/)
  },
)

it.each([
  [500, 'descopestatus'],
  [302, 'console'],
  [404, 'console'],
  [200, 'console'],
])('says what to look at when an exchange is answered with %s', async (status, word) => {
  const body = status === 200 ? { unknown: true } : 'nothing'
  identity.set({ fail: [{ path: '/token', status, body, times: 9 }] })
  onTestFinished(() => identity.set({ fail: [] }))
  const { answer, log } = await callWith({ type: 'token-exchange' })
  expect(answer.error.message).toContain(word)
  expect(log).toContain(word)
})
