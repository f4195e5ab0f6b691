// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is how users write a reference
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { run } from '../../../../src/cli/run.js'
import { configJsonSchema } from '../../../../src/config/json-schema.js'
import { SETTINGS } from '../../../../src/config/settings.js'
import { createFolder } from '../../../helpers/folder.js'
import { createTestRuntime, type TestRuntimeOptions } from '../../../helpers/runtime.js'

const SECRET = 'a secret that is at least 32 bytes long'
const SEED = {
  DESCOPE_CONFIG_URL:
    'https://api.descope.com/v1/apps/P2abcdefghijklmnopqrstuvwxyz0/.well-known/openid-configuration',
  TARGET_MCP_SERVER_URL: 'https://t.example/mcp?api_key=in-the-query',
  TARGET_TOKEN: 'target-token-value',
}

async function start(argv: string[], options: TestRuntimeOptions = {}) {
  const runtime = createTestRuntime(options)
  const status = await run(runtime, ['config', ...argv])
  return { status, stdout: runtime.stdout(), stderr: runtime.stderr() }
}

describe('config show', () => {
  it('prints key, value and origin in 80 columns', async () => {
    const { status, stdout } = await start(['show', '--port', '9000'], { env: SEED })
    expect(status).toBe(0)
    expect(stdout).toMatch(/^server\.port {2,}9000 {2,}flag --port$/m)
    expect(stdout).toMatch(/^server\.host {2,}127\.0\.0\.1 {2,}default$/m)
    expect(stdout).toMatch(
      /^targets\.target\.credential\.token {2,}\[redacted\] {2,}env TARGET_TOKEN$/m,
    )
    for (const line of stdout.split('\n')) {
      if (!line.startsWith('  ')) expect(line.length).toBeLessThanOrEqual(80)
    }
  })

  it('prints no secret, whichever way it came', async () => {
    const cwd = createFolder({
      '.env': `SESSION_SECRET=${SECRET}`,
      '.mcp-descope-proxyrc.json': {
        session: { previousSecrets: ['another secret of at least 32 bytes'] },
        targets: {
          b: {
            url: 'https://b.example',
            credential: { type: 'header', name: 'X', value: 'Basic in-the-file' },
          },
        },
      },
    })
    for (const argv of [['show'], ['show', '--json'], ['validate'], ['validate', '--json']]) {
      const { stdout, stderr } = await start(argv, { cwd, env: SEED })
      expect(stdout + stderr).not.toMatch(/target-token-value|in-the-|(another|a) secret (of|that)/)
    }
    for (const { key } of SETTINGS) {
      for (const name of ['target', 'b']) {
        const explained = await start(['explain', key.replace('*', name)], { cwd, env: SEED })
        expect(explained.stdout).not.toMatch(
          /target-token-value|in-the-|(another|a) secret (of|that)/,
        )
      }
    }
  })

  it('prints one JSON document with --json', async () => {
    const { stdout, stderr } = await start(['show', '--json'], { env: SEED })
    const { settings } = JSON.parse(stdout)
    expect(stderr).toBe('')
    expect(settings['server.port']).toEqual({ value: 8000, origin: 'default' })
    expect(settings['descope.configUrl'].origin).toBe('env DESCOPE_CONFIG_URL')
    expect(settings['targets.target.credential.token']).toEqual({
      value: '[redacted]',
      origin: 'env TARGET_TOKEN',
    })
  })

  it('prints what there is even when something is wrong, then ends with 2', async () => {
    const { status, stdout, stderr } = await start(['show', '--port', 'x'], { env: SEED })
    expect(status).toBe(2)
    expect(stdout).toMatch(/^server\.port {2,}\(invalid\) {2,}flag --port$/m)
    expect(stderr).toContain('error: server.port is "x" (flag --port) — write a whole number')
  })

  it('says what serve still needs', async () => {
    const { status, stderr } = await start(['show'])
    expect(status).toBe(0)
    expect(stderr).toContain('note: serve would not start: descope.configUrl is missing')
    expect(stderr).toContain('note: serve would not start: There is no target')
  })
})

describe('config explain', () => {
  it('prints every layer, the strongest first', async () => {
    const cwd = createFolder({
      '.env': 'PORT=2',
      '.mcp-descope-proxyrc.json': { server: { port: 3 } },
    })
    const env = { ...SEED, PORT: '1' }
    const { stdout } = await start(['explain', 'server.port', '--port', '0'], { cwd, env })
    expect(stdout).toBe(
      [
        'server.port = 0',
        '',
        'Port to listen on; 0 picks a free one.',
        'Takes a whole number from 0 to 65535.',
        'Set it by --port <port>, PORT, "server.port" in the file.',
        '',
        '* flag --port                         0',
        '  env PORT                            1',
        '  .env PORT                           2',
        '  file ./.mcp-descope-proxyrc.json:3  3',
        '  default                             8000',
        '',
      ].join('\n'),
    )
  })

  it('shows the reference of a secret, not the secret', async () => {
    const cwd = createFolder({ '.mcp-descope-proxyrc.json': { session: { secret: '${KEY}' } } })
    const argv = ['explain', 'session.secret', '--json']
    const { stdout } = await start(argv, { cwd, env: { ...SEED, KEY: SECRET } })
    expect(JSON.parse(stdout)).toMatchObject({
      value: '[redacted]',
      layers: [{ value: '${KEY}' }, { origin: 'default', value: null }],
    })
  })

  it.each([
    ['port', 'Did you mean server.port?'],
    ['server.prot', 'Did you mean server.port?'],
    ['log', 'Name one of log.level, log.format.'],
    ['zzzzzzzz', 'Run `mcp-descope-proxy config show` to see all settings.'],
  ])('ends with 2 on %s and says what is meant', async (key, hint) => {
    const { status, stderr } = await start(['explain', key])
    expect(status).toBe(2)
    expect(stderr).toBe(`error: Unknown setting "${key}"\nhint:  ${hint}\n`)
  })
})

describe('a URL that another source replaces', () => {
  it('is explained without its secrets', async () => {
    const env = {
      ...SEED,
      TARGET_MCP_SERVER_URL: 'https://me:pass@t.example/?a=1&x_api_key=k3y&b=2',
    }
    const argv = ['explain', 'targets.target.url', '--target', 'https://other.example']
    const { stdout } = await start(argv, { env })
    expect(stdout).toContain('https://[redacted]@t.example/?a=1&x_api_key=[redacted]&b=2\n')
  })
})

describe('config validate', () => {
  const file = { targets: { a: { url: 'https://a.example' } }, profiles: { w: { log: {} } } }

  it('checks one file alone', async () => {
    const cwd = createFolder({ 'x.json': file })
    const result = await start(['validate', 'x.json'], { cwd, env: { PORT: 'not looked at' } })
    expect(result).toEqual({
      status: 0,
      stdout: 'valid: ./x.json, with the profiles w\n',
      stderr: '',
    })
  })

  it('checks the values of every profile', async () => {
    const profiles = { w: { server: { port: -1 } }, v: { log: { level: 'x' } } }
    const cwd = createFolder({ 'x.json': { ...file, profiles } })
    const { status, stdout, stderr } = await start(['validate', 'x.json', '--json'], { cwd })
    expect(status).toBe(2)
    expect(JSON.parse(stdout)).toMatchObject({ valid: false, missing: [], warnings: [] })
    expect(JSON.parse(stderr).error.problems).toHaveLength(2)
  })

  it('checks what serve would use without a file', async () => {
    expect((await start(['validate'], { env: SEED })).stdout).toBe(
      'valid: The configuration (without a file)\n',
    )
    expect((await start(['validate'], { env: { ...SEED, PORT: 'x' } })).status).toBe(2)
  })
})

describe('config schema', () => {
  it('prints the JSON Schema', async () => {
    expect(JSON.parse((await start(['schema'])).stdout)).toEqual(configJsonSchema())
  })
})

describe('config init', () => {
  it('writes a file that is valid', async () => {
    const cwd = createFolder()
    expect((await start(['init'], { cwd })).stdout).toBe('./mcp-descope-proxy.config.json\n')
    const { status, stdout } = await start(['validate'], { cwd })
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: 'valid: ./mcp-descope-proxy.config.json\n',
    })
  })

  it('replaces a file only with --force', async () => {
    const cwd = createFolder()
    const path = join(cwd, 'x.json')
    writeFileSync(path, 'mine')
    expect(await start(['init', 'x.json'], { cwd })).toEqual({
      status: 2,
      stdout: '',
      stderr: 'error: x.json exists\nhint:  Give --force to replace it, or name another file.\n',
    })
    expect(readFileSync(path, 'utf8')).toBe('mine')
    expect((await start(['init', 'x.json', '--force'], { cwd })).status).toBe(0)
    expect(readFileSync(path, 'utf8')).toContain('"targets"')
  })

  it.each([
    ['x.yaml', 'error: x.yaml does not end in .json\n'],
    ['missing/x.json', 'error: missing/x.json cannot be written\n'],
  ])('refuses to write %s', async (file, message) => {
    const { status, stderr } = await start(['init', file], { cwd: createFolder() })
    expect(status).toBe(2)
    expect(stderr).toContain(message)
  })
})
