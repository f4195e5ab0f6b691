// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is how users write a reference
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig, resolveConfig } from '../../../src/config/load.js'
import type { Flags } from '../../../src/config/settings.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime, type TestRuntimeOptions } from '../../helpers/runtime.js'

const CONFIG_URL =
  'https://api.descope.com/v1/apps/P2abcdefghijklmnopqrstuvwxyz0/.well-known/openid-configuration'
const SEED = { DESCOPE_CONFIG_URL: CONFIG_URL, TARGET_MCP_SERVER_URL: 'https://t.example/mcp' }
const SECRET = 'a secret that is at least 32 bytes long'

const load = (options: TestRuntimeOptions, flags: Flags = {}) =>
  loadConfig(createTestRuntime(options), { flags, for: 'serve' })

const origin = (loaded: ReturnType<typeof load>, key: string) => loaded.origins.get(key)?.from

const OPEN = {
  ...{ allow: ['*'], deny: [], scopes: {}, roles: {}, permissions: {}, tenants: {} },
  whenScopeMissing: 'list',
}

describe("the seed's variables", () => {
  it('make one target with a bearer credential', () => {
    const { config } = load({
      env: { ...SEED, TARGET_TOKEN: 't0ken', SERVER_URL: 'https://mcp.example.com/' },
    })
    expect(config.descope.configUrl).toBe(CONFIG_URL)
    expect(config.server.publicUrl).toBe('https://mcp.example.com')
    expect(config.targets).toEqual([
      {
        name: 'target',
        url: 'https://t.example/mcp',
        transport: 'auto',
        program: undefined,
        prefix: 'target',
        credential: { type: 'bearer', token: 't0ken' },
        access: {},
        breaker: { failures: 0, seconds: 5 },
        tools: { ...OPEN, stepUp: [], fga: {} },
        prompts: OPEN,
        resources: OPEN,
        methods: [],
      },
    ])
  })

  it('make a target without credential when there is no token', () => {
    expect(load({ env: SEED }).config.targets[0]?.credential).toEqual({ type: 'none' })
  })

  it('count as not set when they are empty', () => {
    const { config } = load({ env: { ...SEED, TARGET_TOKEN: '', PORT: '', SERVER_URL: '' } })
    expect(config.targets[0]?.credential).toEqual({ type: 'none' })
    expect(config.server).toMatchObject({ port: 8000, publicUrl: undefined })
  })

  it('leave everything else at its default', () => {
    const { config, warnings, secrets } = load({ env: SEED })
    expect(config).toMatchObject({
      server: { host: '127.0.0.1', port: 8000, path: '/mcp', workers: 1, vercel: undefined },
      session: { secret: undefined, previousSecrets: [] },
      limits: { bodyBytes: 4_194_304, requestsPerMinute: 0 },
      timeouts: { headers: 15, body: 30, heartbeat: 15, list: 3, answer: 300, drain: 25 },
      names: { maxLength: 56 },
      log: { level: 'info', format: 'text' },
    })
    expect({ warnings, secrets }).toEqual({ warnings: [], secrets: [] })
  })
})

describe('the public URL on Vercel', () => {
  const hosts = { VERCEL_URL: 'a-1.vercel.app', VERCEL_PROJECT_PRODUCTION_URL: 'a.vercel.app' }
  it.each([
    { env: { VERCEL: '1', VERCEL_ENV: 'production', ...hosts }, url: 'https://a.vercel.app' },
    { env: { VERCEL: '1', VERCEL_ENV: 'preview', ...hosts }, url: 'https://a-1.vercel.app' },
    {
      env: { VERCEL: '1', SERVER_URL: 'https://own.example', ...hosts },
      url: 'https://own.example',
    },
    { env: { VERCEL_ENV: 'production', ...hosts }, url: undefined },
  ])('is $url with $env', ({ env, url }) => {
    expect(load({ env: { ...SEED, ...env } }).config.server.publicUrl).toBe(url)
  })

  it('comes with the hosts that the platform made', () => {
    const { config } = load({ env: { ...SEED, VERCEL: '1', ...hosts } })
    expect(config.server.vercel?.hosts).toEqual(['a-1.vercel.app', 'a.vercel.app'])
  })
})

describe('loadConfig', () => {
  it('keeps the origin of each value', () => {
    const cwd = createFolder({
      '.env': 'MCP_DESCOPE_LOG_FORMAT=json\nPORT=1\n',
      'mcp-descope-proxy.config.json': '{\n  "server": {\n    "path": "/x"\n  }\n}',
    })
    const loaded = load({ cwd, env: { ...SEED, PORT: '2' } }, { 'server.host': '::1' })
    expect(origin(loaded, 'server.host')).toBe('flag --host')
    expect(origin(loaded, 'server.port')).toBe('env PORT')
    expect(origin(loaded, 'log.format')).toBe('.env MCP_DESCOPE_LOG_FORMAT')
    expect(origin(loaded, 'server.path')).toBe('file ./mcp-descope-proxy.config.json:3')
    expect(origin(loaded, 'log.level')).toBe('default')
    expect(loaded.config.server).toMatchObject({ host: '::1', port: 2, path: '/x' })
  })

  it('replaces lists as a whole', () => {
    const cwd = createFolder({ '.mcp-descope-proxyrc': { server: { allowedHosts: ['a', 'b'] } } })
    const loaded = load({ cwd, env: SEED }, { 'server.allowedHosts': ['c', 'd'] })
    expect(loaded.config.server.allowedHosts).toEqual(['c', 'd'])
  })

  it('lays a profile over the file, key by key', () => {
    const cwd = createFolder({
      '.mcp-descope-proxyrc.yaml': [
        'server: { port: 1, path: /x }',
        'profiles:',
        '  work:',
        '    server:',
        '      port: 2',
      ].join('\n'),
    })
    const loaded = load({ cwd, env: { ...SEED, MCP_DESCOPE_PROFILE: 'work' } })
    expect(loaded.config.server).toMatchObject({ port: 2, path: '/x' })
    expect(origin(loaded, 'server.port')).toBe('file ./.mcp-descope-proxyrc.yaml:5')
  })

  it('keeps targets in the order of the file and adds those of flags', () => {
    const targets = { z: { url: 'https://z.example/' }, a: { url: 'https://a.example/' } }
    const cwd = createFolder({ '.mcp-descope-proxyrc.json': { targets } })
    const env = { DESCOPE_CONFIG_URL: CONFIG_URL }
    const { config } = load(
      { cwd, env },
      { 'targets.*.url': ['m=https://m.example/?x=y', 'a=https://other.example/'] },
    )
    expect(config.targets.map(({ name, url, prefix }) => [name, url, prefix])).toEqual([
      ['z', 'https://z.example/', 'z'],
      ['a', 'https://other.example/', 'a'],
      ['m', 'https://m.example/?x=y', 'm'],
    ])
  })

  it('replaces the whole credential of a file by TARGET_TOKEN', () => {
    const credential = { type: 'header', name: 'X-Key', value: 'from-the-file' }
    const targets = { target: { url: 'https://t.example/', credential } }
    const cwd = createFolder({ '.mcp-descope-proxyrc.json': { targets } })
    const { config } = load({ cwd, env: { ...SEED, TARGET_TOKEN: 'from-env' } })
    expect(config.targets[0]?.credential).toEqual({ type: 'bearer', token: 'from-env' })
  })

  it.each([
    { given: 'p_', prefix: 'p_' },
    { given: '', prefix: '' },
  ])('gives --prefix "$given" to the only target', ({ given, prefix }) => {
    const { config } = load({ env: SEED }, { 'targets.*.prefix': given })
    expect(config.targets[0]?.prefix).toBe(prefix)
  })

  it('reads every type of credential', () => {
    const client = { clientId: 'c', clientSecret: 's3cret', scope: 'x' }
    const all = {
      one: { type: 'none' },
      two: { type: 'bearer', token: 't' },
      three: { type: 'header', name: 'X-Key', value: 'Key v' },
      four: { type: 'client-credentials', tokenUrl: undefined, ...client },
      five: { type: 'token-exchange', resource: 'https://r.example', audience: ['a'], ...client },
      six: { type: 'connection', app: 'github', by: 'tenant', tenant: false, scopes: ['a'] },
    }
    const targets = Object.fromEntries(
      Object.entries(all).map(([name, credential]) => [
        name,
        { url: 'https://t.example/', credential },
      ]),
    )
    const { config } = resolveConfig({ descope: { configUrl: CONFIG_URL }, targets } as never)
    expect(Object.fromEntries(config.targets.map((t) => [t.name, t.credential]))).toEqual(all)
  })

  it('needs neither Descope nor a target for a report', () => {
    const { config } = loadConfig(createTestRuntime(), { flags: {}, for: 'report' })
    expect(config.targets).toEqual([])
  })

  it('leaves names as they are with one target in stdio', () => {
    const runtime = createTestRuntime({ env: SEED })
    const { config } = loadConfig(runtime, { flags: {}, for: 'stdio' })
    expect(config.targets[0]?.prefix).toBe('')
  })

  it('reads nothing from the working directory for stdio, but the own folder', () => {
    const cwd = createFolder({
      '.env': 'PORT=1',
      '.mcp-descope-proxyrc.json': { server: { port: 2 } },
      'home/config.json': { server: { path: '/own' } },
    })
    const env = { MCP_DESCOPE_HOME: join(cwd, 'home') }
    const { config, file } = loadConfig(createTestRuntime({ cwd, env }), {
      flags: {},
      for: 'stdio',
    })
    expect(config.server).toMatchObject({ port: 8000, path: '/own' })
    expect(file).toBe(join(cwd, 'home', 'config.json'))
  })
})

describe('resolveConfig', () => {
  it('takes a plain object before the environment', () => {
    const { config, origins } = resolveConfig(
      { server: { port: 1 }, session: { secret: '${KEY}' } },
      { env: { ...SEED, PORT: '2', KEY: SECRET } },
    )
    expect(config.server.port).toBe(1)
    expect(config.session.secret).toBe(SECRET)
    expect(config.targets[0]?.name).toBe('target')
    expect(origins.get('server.port')?.from).toBe('option server.port')
  })
})
