// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is how users write a reference
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { createRedactor } from '../../../src/util/redact.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const SECRET = 'a secret that is at least 32 bytes long'

function load(file: object, env: Record<string, string> = {}, files: Record<string, string> = {}) {
  const cwd = createFolder({ ...files, '.mcp-descope-proxyrc.json': file })
  return loadConfig(createTestRuntime({ cwd, env, homeDir: cwd }), { flags: {}, for: 'report' })
}

const withCredential = (credential: object, url = 'https://t.example') => ({
  targets: { t: { url, credential } },
})

describe('a secret', () => {
  it('comes from a variable', () => {
    const { config, warnings } = load({ session: { secret: '${KEY}' } }, { KEY: SECRET })
    expect(config.session.secret).toBe(SECRET)
    expect(warnings).toEqual([])
  })

  it.each(['@./deep/key', '@~/deep/key'])('comes from the file %s', (reference) => {
    const { config } = load({ session: { secret: reference } }, {}, { 'deep/key': `${SECRET}\n` })
    expect(config.session.secret).toBe(SECRET)
  })

  it('comes from a file that a variable names', () => {
    const env = { SESSION_SECRET: '@./key' }
    expect(load({}, env, { key: SECRET }).config.session.secret).toBe(SECRET)
  })

  it('comes from .env through a reference', () => {
    const file = withCredential({ type: 'bearer', token: '${T}' })
    const { config } = load(file, {}, { '.env': 'T=from-dot-env' })
    expect(config.targets[0]?.credential).toEqual({ type: 'bearer', token: 'from-dot-env' })
  })

  it.each([
    { from: 'a token', file: withCredential({ type: 'bearer', token: '${KEY}' }) },
    { from: 'a part', file: withCredential({ type: 'header', name: 'X', value: 'Key ${KEY}' }) },
    {
      from: 'a scheme',
      file: withCredential({ type: 'header', name: 'X', value: 'Basic ${KEY}' }),
    },
    {
      from: 'a query',
      file: withCredential({ type: 'none' }, 'https://t.example/?api_key=${KEY}'),
    },
    { from: 'a path', file: withCredential({ type: 'none' }, 'https://t.example/${ACME_API_KEY}') },
    { from: 'a list', file: { session: { previousSecrets: ['${LONG}'] } } },
  ])('of $from is known for redaction', ({ file }) => {
    const env = {
      KEY: 's3cr3t-value',
      ACME_API_KEY: 's3cr3t-value',
      LONG: 's3cr3t-value'.repeat(3),
    }
    const { secrets } = load(file, env)
    expect(createRedactor(secrets)('it is s3cr3t-value'.repeat(3))).not.toContain(
      'it is s3cr3t-values',
    )
    expect(secrets.some((secret) => secret.includes('s3cr3t-value'))).toBe(true)
  })
})
