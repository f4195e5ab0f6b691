import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { readSettings } from '../../../src/config/load.js'
import { createPublicValue } from '../../../src/config/public-value.js'
import { readJwtKey, splitKeys } from '../../../src/util/jwt-key.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const RC = '.mcp-descope-proxyrc.json'
const HTTPS = 'https://notes.example.com/mcp'

const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const OTHER = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 })
const WEAK = generateKeyPairSync('rsa', { modulusLength: 1024 })
const ED = generateKeyPairSync('ed25519')
const X = generateKeyPairSync('x25519')
const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'pkcs8' }).toString()
const spki = (key: KeyObject) => key.export({ format: 'pem', type: 'spki' }).toString()
const jwk = (key: KeyObject, more = {}) =>
  JSON.stringify({ ...key.export({ format: 'jwk' }), ...more })

function settingsOf(config: Record<string, unknown>, env: Record<string, string> = {}) {
  const cwd = createFolder({ [RC]: JSON.stringify(config, undefined, 1) })
  return readSettings(createTestRuntime({ cwd, env }), { flags: {}, for: 'report' })
}

const withTarget = (identity: unknown, target = {}, more = {}) => ({
  targets: { notes: { url: HTTPS, identity, ...target } },
  ...more,
})

describe('identity of a target', () => {
  it.each([
    [{ method: 'claims' }, {}],
    [{ method: 'jwt', claims: ['sub', 'email'], header: 'X-Who' }, {}],
    [{ method: 'claims' }, { url: 'http://127.0.0.1:9000/mcp' }],
    [{ method: 'claims' }, { url: 'http://localhost:9000/mcp' }],
    [{ method: 'jwt', header: 'Authorization' }, {}],
    [{ method: 'claims' }, { url: undefined, command: 'notes' }],
  ])('takes %j with %j', (identity, target) => {
    expect(settingsOf(withTarget(identity, target)).problems).toEqual([])
  })

  it.each([
    [{ claims: ['sub'] }, {}, 'identity.method is missing'],
    [{ method: 'saml' }, {}, 'identity.method is "saml"'],
    [{ method: 'claims', claims: [] }, {}, 'identity.claims is empty'],
    [{ method: 'jwt', claims: ['sub', 'exp'] }, {}, 'identity.claims names "exp"'],
    [
      { method: 'claims' },
      { url: 'http://10.0.0.1/mcp' },
      'identity.method is claims, and whoever',
    ],
    [{ method: 'claims' }, { url: 'http://notes/mcp' }, 'identity.method is claims, and whoever'],
    [{ method: 'claims', header: 'Authorization' }, {}, 'which means something else'],
    [{ method: 'jwt', header: 'Cookie' }, {}, 'which means something else'],
    [{ method: 'jwt', header: 'Mcp_Session_Id' }, {}, 'which means something else'],
    [{ method: 'jwt', header: 'baggage' }, {}, 'which means something else'],
    [{ method: 'jwt', header: 'X Who' }, {}, 'identity.header is "X Who"'],
    [
      { method: 'jwt', header: 'authorization' },
      { credential: { type: 'bearer', token: 'secret-of-the-target' } },
      'which carries the credential',
    ],
    [
      { method: 'jwt', header: 'X-Api-Key' },
      { credential: { type: 'header', name: 'x_api_key', value: 'secret-of-the-target' } },
      'is the header of the credential too',
    ],
    [
      { method: 'jwt', header: 'X-Who' },
      { url: undefined, command: 'notes' },
      'does not apply to a program',
    ],
  ])('refuses %j with %j', (identity, target, problem) => {
    const { problems } = settingsOf(withTarget(identity, target))
    expect(problems).toEqual([expect.stringContaining(problem)])
    expect(problems[0]).toMatch(new RegExp(`\\(file \\./${RC}:\\d+(, file [^)]+)?\\) — `))
  })

  it.each([
    ...['Range', 'If-Match', 'if_none_match', 'Accept-Language', 'Prefer', 'DPoP', 'Date', 'From'],
    ...['Sec-Fetch-Mode', 'Cache-Control', 'X-HTTP-Method-Override', 'X-Original-URL', 'Priority'],
    ...['Proxy-Authorization', 'X-Forwarded-User', 'Content-Digest', 'Max-Forwards', 'Signature'],
  ])('refuses the header %s, which means something in HTTP', (header) => {
    const { problems } = settingsOf(withTarget({ method: 'jwt', header }))
    expect(problems).toEqual([expect.stringContaining('which means something else')])
  })

  it('warns of a JWT that goes over plain http', () => {
    const { problems, warnings } = settingsOf(
      withTarget({ method: 'jwt' }, { url: 'http://10.0.0.1/mcp' }),
    )
    expect(problems).toEqual([])
    expect(warnings.join()).toContain('The identity of target "notes" goes over plain http')
  })
})

describe('identity.key', () => {
  const jwt = withTarget({ method: 'jwt' })

  it.each([
    ['a public key', spki(EC.publicKey), 'is a public key'],
    ['a public JWK', jwk(EC.publicKey), 'is a public JWK'],
    ['RSA of 1024 bits', pem(WEAK.privateKey), 'is an RSA key of 1024 bits'],
    ['a key of another type', pem(X.privateKey), 'is a key of another type (x25519)'],
    [
      'a symmetric key',
      JSON.stringify({ kty: 'oct', k: 'c2VjcmV0LXNlY3JldA' }),
      'is a symmetric key',
    ],
    ['a key set', JSON.stringify({ keys: [] }), 'is a whole key set'],
    ['broken JSON', '{"kty":"EC"', 'is no JSON'],
    ['another JSON', '{"a":1}', 'is JSON without "kty"'],
    ['a word', 'hunter2-hunter2-hunter2', 'is neither a PEM text'],
    ['PEM that is cut off', pem(EC.privateKey).slice(0, 80), 'is damaged'],
    [
      'a certificate',
      '-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----',
      'is a certificate',
    ],
    [
      'an encrypted key',
      EC.privateKey
        .export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' })
        .toString(),
      'is encrypted',
    ],
    [
      'a JWK of two keys',
      jwk(EC.privateKey, { x: OTHER.publicKey.export({ format: 'jwk' }).x }),
      'is damaged',
    ],
    ['a JWK for encryption', jwk(RSA.privateKey, { use: 'enc' }), 'is a JWK for encryption'],
    [
      'a JWK of another algorithm',
      jwk(EC.privateKey, { alg: 'RS256' }),
      'is a JWK whose "alg" does not fit',
    ],
  ])('refuses %s, says where it stands and shows nothing of it', (_, key, problem) => {
    const { problems } = settingsOf(jwt, { MCP_DESCOPE_IDENTITY_KEY: key })
    expect(problems).toEqual([expect.stringContaining(`identity.key ${problem}`)])
    expect(problems[0]).toContain('(env MCP_DESCOPE_IDENTITY_KEY) — write a private key')
    expect(problems[0]).not.toContain(key.slice(-20))
  })

  it.each([
    ['ES256', pem(EC.privateKey)],
    ['RS256', pem(RSA.privateKey)],
    ['EdDSA', pem(ED.privateKey)],
    ['EdDSA', jwk(ED.privateKey, { alg: 'Ed25519' })],
    ['ES256', pem(EC.privateKey).replaceAll('\n', '\\n')],
  ])('takes one for %s, from a file too', (alg, key) => {
    expect(readJwtKey(key, 'private')).toMatchObject({ alg })
    const files = {
      [RC]: JSON.stringify({ ...jwt, identity: { key: '@./key', previousKeys: ['@./key'] } }),
      key,
    }
    const runtime = createTestRuntime({ cwd: createFolder(files) })
    expect(readSettings(runtime, { flags: {}, for: 'report' }).problems).toEqual([])
  })

  it('is never shown, nor are the keys before it', () => {
    const key = pem(EC.privateKey)
    const settings = settingsOf(
      { ...jwt, identity: { previousKeys: [jwk(ED.privateKey)] } },
      { MCP_DESCOPE_IDENTITY_KEY: key },
    )
    const show = createPublicValue(settings)
    const shown = [...settings.values].map(([name, { value }]) => [name, show(name, value)])
    expect(JSON.stringify(shown)).not.toMatch(/PRIVATE|"d\\?"/)
    expect(Object.fromEntries(shown)).toMatchObject({
      'identity.key': '[redacted]',
      'identity.previousKeys': '[redacted]',
    })
  })

  it('may be public where it is published only, several in one variable', () => {
    const keys = [spki(EC.publicKey), pem(RSA.privateKey), jwk(ED.publicKey)].join('\n')
    expect(splitKeys(keys)).toHaveLength(3)
    const { problems, values } = settingsOf(jwt, { MCP_DESCOPE_IDENTITY_PREVIOUS_KEYS: keys })
    expect(problems).toEqual([])
    expect(values.get('identity.previousKeys')?.value).toHaveLength(3)
  })

  it('has an id that no other key has', () => {
    const previousKeys = [jwk(EC.privateKey, { kid: 'a' }), jwk(OTHER.privateKey, { kid: 'a' })]
    const { problems } = settingsOf({ ...jwt, identity: { previousKeys } })
    expect(problems).toEqual([expect.stringContaining('another key with the same "kid"')])
    const same = [jwk(EC.privateKey, { kid: 'a' }), jwk(EC.publicKey, { kid: 'a' })]
    expect(settingsOf({ ...jwt, identity: { previousKeys: same } }).problems).toEqual([])
  })

  it.each([
    [
      'several workers',
      { server: { workers: 2 }, session: { secret: 's'.repeat(32) } },
      {},
      'each of the 2 workers',
    ],
    ['a public URL', {}, { SERVER_URL: 'https://mcp.example.com' }, 'with several replicas'],
    ['Kubernetes', {}, { KUBERNETES_SERVICE_HOST: '10.0.0.1' }, 'with several replicas'],
  ])('is missed with %s', (_, config, env, warning) => {
    expect(settingsOf({ ...jwt, ...config }, env).warnings.join('\n')).toContain(warning)
    const withKey = { ...env, MCP_DESCOPE_IDENTITY_KEY: pem(EC.privateKey) }
    expect(settingsOf({ ...jwt, ...config }, withKey).warnings.join('\n')).not.toContain(warning)
    const claims = withTarget({ method: 'claims' })
    expect(settingsOf({ ...claims, ...config }, env).warnings.join('\n')).not.toContain(warning)
  })

  it('is of no use without sign-in, which is told', () => {
    const server = { insecureNoAuth: true }
    expect(settingsOf({ ...jwt, server }).warnings.join()).toContain(
      'told nothing of their callers',
    )
  })
})
