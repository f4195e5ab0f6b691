import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../../src/config/load.js'

const CONFIG_URL =
  'https://api.descope.com/v1/apps/agentic/P2aaaaaaaaaaaaaaaaaaaaaaaaaaa/MS2bbbbbbbbbbbbbbbbbbbbbbbbbbb/.well-known/openid-configuration'

function resolve(credential: object, target: object = {}) {
  const url = 'https://t.example/mcp'
  const input = {
    descope: { configUrl: CONFIG_URL },
    targets: { t: { url, credential, ...target } },
  }
  return resolveConfig(input as never)
}

const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey
const P384 = p384.export({ format: 'pem', type: 'pkcs8' }).toString()

describe('a credential', () => {
  it.each([
    [{ type: 'client-credentials', clientId: 'c' }, /clientSecret is missing/],
    [
      { type: 'client-credentials', clientId: 'c', clientSecret: 's', clientKey: P384 },
      /clientKey is a key for ES384/,
    ],
    [{ type: 'token-exchange', clientSecret: 's' }, /clientId is missing/],
    [{ type: 'token-exchange', resource: 'no uri' }, /resource is "no uri"/],
    [{ type: 'token-exchange', resource: '/path' }, /resource is "\/path"/],
    [{ type: 'token-exchange', audience: [] }, /audience is \[\]/],
    [{ type: 'connection', app: 'a', by: 'tenant', tenant: true }, /tenant is for the connection/],
    [{ type: 'connection', app: 'a', scopes: [] }, /scopes is empty/],
    [{ type: 'connection', app: 'a', header: 'Host' }, /header is "Host"/],
    [{ type: 'connection', app: 'a', header: { name: 'X Y' } }, /header is /],
    [{ type: 'connection', app: 'a', header: { nam: 'X' } }, /header is /],
    [{ type: 'bearer', token: 't', header: 'X' }, /header does not apply/],
  ])('%j is refused in one sentence', (credential, problem) => {
    expect(() => resolve(credential)).toThrow(problem)
  })

  it.each([
    ['X-Api-Key', { name: 'X-Api-Key', prefix: '' }],
    [
      { name: 'Authorization', prefix: 'Token' },
      { name: 'Authorization', prefix: 'Token' },
    ],
  ])('of a connection takes the header %j', (header, expected) => {
    const { config } = resolve({ type: 'connection', app: 'a', header })
    expect(config.targets[0]?.credential).toMatchObject({ header: expected })
  })

  it('of a connection warns where the policy hides the tool to connect with', () => {
    const tools = { allow: ['search'] }
    const hidden = resolve({ type: 'connection', app: 'a.b' }, { tools }).warnings
    expect(hidden.join()).toContain('add "connect_a_b" to it')
    const shown = resolve({ type: 'connection', app: 'a.b' }, { tools: { allow: ['connect_*'] } })
    expect(shown.warnings.join()).not.toContain('connect_a_b')
  })
})
