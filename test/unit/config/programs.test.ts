// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is how users write a reference
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../../src/config/load.js'
import { createPublicValue } from '../../../src/config/public-value.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const DESCOPE_CONFIG_URL =
  'https://api.descope.com/v1/apps/P2abcdefghijklmnopqrstuvwxyz0/.well-known/openid-configuration'

function load(target: object, env: Record<string, string> = {}, more: object = {}) {
  const cwd = createFolder({ '.mcp-descope-proxyrc.json': { targets: { a: target }, ...more } })
  const runtime = createTestRuntime({ cwd, env: { DESCOPE_CONFIG_URL, ...env } })
  return loadConfig(runtime, { flags: {}, for: 'serve' })
}

const programOf = (target: object, env = {}) => load(target, env).config.targets[0]?.program

describe('a target that is a program', () => {
  it.each([
    [{ command: 'npx', args: ['-y', 'server'] }, ['npx', '-y', 'server']],
    [{ command: ['npx', '-y', 'server'] }, ['npx', '-y', 'server']],
    [
      { command: ['npx', '-y'], args: ['server', '$(id); rm *'] },
      ['npx', '-y', 'server', '$(id); rm *'],
    ],
  ])('is started as %j says', (target, command) => {
    expect(programOf(target)).toMatchObject({ command, env: {}, maxChildren: 20, maxRequests: 64 })
  })

  it('gets variables by reference, which are secrets from then on', () => {
    const { config, secrets } = load(
      {
        command: 'a',
        args: ['--key=${API_KEY}'],
        env: { DSN: '${DSN}', HOME: '${HOME}', MODE: 'ro' },
      },
      { API_KEY: 'key-canary', DSN: 'dsn-canary', HOME: '/home/somebody' },
    )
    expect(config.targets[0]?.program).toMatchObject({
      command: ['a', '--key=key-canary'],
      env: { DSN: 'dsn-canary', HOME: '/home/somebody', MODE: 'ro' },
    })
    expect(secrets).toEqual(expect.arrayContaining(['key-canary', 'dsn-canary']))
    expect(secrets).not.toContain('/home/somebody')
    expect(secrets).not.toContain('ro')
    const shown = createPublicValue({ secrets: new Set(secrets) })
    expect(shown('targets.a.args', ['--key=key-canary'])).toEqual(['--key=[redacted]'])
    expect(shown('targets.a.env', { DSN: 'dsn-canary' })).toEqual({ DSN: '[redacted]' })
  })

  it('is warned of when it has a secret in plain text', () => {
    const { warnings, secrets } = load({
      command: 'a',
      env: { API_KEY: 'plain-canary', MODE: 'x' },
    })
    expect(secrets).toContain('plain-canary')
    expect(warnings).toEqual([
      'targets.a.env.API_KEY is in plain text in the file (file ./.mcp-descope-proxyrc.json:5) — write ${VARIABLE}',
    ])
  })

  it('is warned of with several workers', () => {
    const secret = 'a-session-secret-of-more-than-32-bytes'
    const { warnings } = load(
      { command: 'a' },
      { SESSION_SECRET: secret },
      { server: { workers: 2 } },
    )
    expect(warnings).toEqual([expect.stringContaining('each of the 2 workers starts its own')])
  })

  it('comes from no variable and from no flag', () => {
    const env = {
      TARGET_COMMAND: 'x',
      MCP_DESCOPE_TARGETS_COMMAND: 'x',
      TARGET_MCP_SERVER_URL: 'http://t',
    }
    const cwd = createFolder({ '.env': 'MCP_DESCOPE_TARGET_COMMAND=x\nTARGET_MCP_COMMAND=x\n' })
    const runtime = createTestRuntime({ cwd, env: { DESCOPE_CONFIG_URL, ...env } })
    const { config } = loadConfig(runtime, { flags: {}, for: 'serve' })
    expect(config.targets.map(({ program }) => program)).toEqual([undefined])
  })

  it('never comes from the working directory of the bridge', () => {
    const cwd = createFolder({ '.mcp-descope-proxyrc.json': { targets: { a: { command: 'x' } } } })
    const { config } = loadConfig(createTestRuntime({ cwd }), { flags: {}, for: 'stdio' })
    expect(config.targets).toEqual([])
  })
})
