// biome-ignore-all lint/suspicious/noTemplateCurlyInString: this is how users write a reference
import { describe, expect, it } from 'vitest'
import { ConfigError, loadConfig } from '../../../src/config/load.js'
import type { Flags } from '../../../src/config/settings.js'
import { createFolder } from '../../helpers/folder.js'
import { createTestRuntime } from '../../helpers/runtime.js'

const SEED = {
  DESCOPE_CONFIG_URL:
    'https://api.descope.com/v1/apps/P2abcdefghijklmnopqrstuvwxyz0/.well-known/openid-configuration',
  TARGET_MCP_SERVER_URL: 'https://t.example/mcp',
}

const NAME = '.mcp-descope-proxyrc.json'

interface Case {
  file?: unknown
  name?: string
  env?: Record<string, string>
  flags?: Flags
}

function load({ file, name = NAME, env = {}, flags = {} }: Case) {
  const cwd = createFolder(file === undefined ? {} : { [name]: file })
  const runtime = createTestRuntime({ cwd, env: { ...SEED, ...env } })
  return loadConfig(runtime, { flags, for: 'serve' })
}

function problemsOf(given: Case): readonly string[] {
  try {
    load(given)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

const target = (more: object) => ({
  file: { targets: { a: { url: 'https://a.example', ...more } } },
})

const program = (more: object) => ({
  file: { targets: { a: { command: 'server', ...more } } },
  env: { TARGET_MCP_SERVER_URL: '', TOKEN: 't' },
})

const credential = (members: object) => target({ credential: members })

describe('a problem', () => {
  it.each<[Case, string]>([
    [
      { flags: { 'server.port': '80a' } },
      'server.port is "80a" (flag --port) — write a whole number from 0 to 65535',
    ],
    [
      { env: { PORT: '65536' } },
      'server.port is "65536" (env PORT) — write a whole number from 0 to 65535',
    ],
    [
      { file: { server: { port: '80' } } },
      `server.port is "80" (file ./${NAME}:3) — write a whole number from 0 to 65535`,
    ],
    [
      { flags: { 'server.path': 'mcp' } },
      'server.path is "mcp" (flag --path) — write a path that starts with "/", such as /mcp',
    ],
    [
      { flags: { 'server.path': '/healthz' } },
      'server.path is /healthz, which is reserved (flag --path) — write another path, such as /mcp',
    ],
    [
      { flags: { 'server.host': 'http://localhost:80' } },
      'server.host is "http://localhost:80" (flag --host) — write a host name or an address without scheme and port, such as 127.0.0.1',
    ],
    [
      { flags: { 'server.metricsPort': '8000' } },
      'server.metricsPort is the port of the server itself (flag --metrics-port) — write another port',
    ],
    [
      { flags: { 'server.allowedOrigins': ['*'] } },
      'server.allowedOrigins is "*" (flag --allowed-origin) — write a list of origins, such as https://app.example.com',
    ],
    [
      { env: { TARGET_MCP_SERVER_URL: 'https://me:pass@t.example/?key=1' } },
      'targets.target.url is "https://[redacted]@t.example/?…" (env TARGET_MCP_SERVER_URL) — write an http(s) URL without user name, password and fragment',
    ],
    [
      { env: { TARGET_MCP_SERVER_URL: 'ftp://t.example/' } },
      'targets.target.url is "ftp://t.example/" (env TARGET_MCP_SERVER_URL) — write an http(s) URL without user name, password and fragment',
    ],
    [
      { env: { TARGET_MCP_SERVER_URL: 'https://t.example/#x' } },
      'targets.target.url is "https://t.example/#x" (env TARGET_MCP_SERVER_URL) — write an http(s) URL without user name, password and fragment',
    ],
    [
      { env: { SERVER_URL: 'mcp.example.com' } },
      'server.publicUrl is "mcp.example.com" (env SERVER_URL) — write an http(s) URL without user name, password, query and fragment',
    ],
    [
      { env: { SESSION_SECRET: 'too short' } },
      'session.secret is invalid (env SESSION_SECRET) — write at least 32 bytes, such as the output of `openssl rand -base64 48`',
    ],
    [
      { env: { TARGET_TOKEN: 'Bearer abc' } },
      'targets.target.credential.token is invalid (env TARGET_TOKEN) — write the token alone, without "Bearer " and without spaces',
    ],
    [
      { env: { TARGET_TOKEN: '${ACME}' } },
      'targets.target.credential.token is the literal text ${ACME}: whatever started this program did not replace it (env TARGET_TOKEN) — write the value, or set that variable there',
    ],
    [
      { flags: { 'server.workers': '2' } },
      'server.workers is 2, and no session secret is set (flag --workers) — set SESSION_SECRET to at least 32 bytes, such as the output of `openssl rand -base64 48`',
    ],
    [
      { flags: { 'server.insecureNoAuth': true, 'server.host': '0.0.0.0' } },
      'server.insecureNoAuth is on, and server.host is 0.0.0.0 (flag --insecure-no-auth) — write a loopback host such as 127.0.0.1, or leave sign-in on',
    ],
    [
      { flags: { 'server.insecureNoAuth': true }, env: { SERVER_URL: 'https://x.example' } },
      'server.insecureNoAuth is on, and the server has a public URL (flag --insecure-no-auth) — leave sign-in on, or do not set SERVER_URL',
    ],
    [
      { env: { DESCOPE_CONFIG_URL: '', DESCOPE_CONFIG_URI: 'x' } },
      'descope.configUrl is missing (default); the environment has DESCOPE_CONFIG_URI — set DESCOPE_CONFIG_URL to the discovery URL of the MCP server in Descope, or try it without an account with `mcp-descope-proxy demo`',
    ],
    [
      { env: { TARGET_MCP_SERVER_URL: '' } },
      'There is no target (default) — set TARGET_MCP_SERVER_URL, give --target <url>, or write "targets" in a configuration file',
    ],
    [
      { file: { targets: { a: { prefix: 'b' } } } },
      `targets.a.url is missing (file ./${NAME}:4) — write the URL of the target's MCP endpoint, or "command" for a program`,
    ],
    [
      target({ command: 'server' }),
      `targets.a.url and targets.a.command are both set (file ./${NAME}:4, file ./${NAME}:5) — write one of them`,
    ],
    [
      target({ args: ['-v'] }),
      `targets.a.args applies only to a program (file ./${NAME}:5) — write "command" in place of "url", or leave it out`,
    ],
    [
      target({ transport: 'ws' }),
      `targets.a.transport is "ws" (file ./${NAME}:5) — write auto, http or sse`,
    ],
    [
      program({ transport: 'sse' }),
      `targets.a.transport applies only to a URL, and the target is a program (file ./${NAME}:5) — leave it out`,
    ],
    [
      program({ credential: { type: 'bearer', token: '${TOKEN}' } }),
      `targets.a.credential.type is "bearer", and a program takes no headers (file ./${NAME}:6) — leave "credential" out, and give the program its secrets in "env"`,
    ],
    [
      program({ command: [] }),
      `targets.a.command is [] (file ./${NAME}:4) — write a program, or a list of a program and its arguments; no shell reads it`,
    ],
    [
      program({ env: { KEY: '${NOT_SET}' } }),
      `targets.a.env: the variable NOT_SET is not set (file ./${NAME}:5) — write \${NOT_SET:-default}, or set NOT_SET in the environment`,
    ],
    [
      program({ cwd: './here' }),
      `targets.a.cwd is "./here" (file ./${NAME}:5) — write an absolute path`,
    ],
    [
      program({ maxChildren: 0 }),
      `targets.a.maxChildren is 0 (file ./${NAME}:5) — write a whole number, 1 or more`,
    ],
    [
      { file: { targets: { 'a b': { url: 'https://a.example' } } } },
      `The target name "a b" is not allowed (file ./${NAME}:3) — write a letter or digit, then up to 31 of A-Z a-z 0-9 _ -`,
    ],
    [
      target({ prefix: 'a.b' }),
      `targets.a.prefix is "a.b" (file ./${NAME}:5) — write up to 32 of the characters A-Z a-z 0-9 _ -, or "" for no prefix`,
    ],
    [
      target({ prefix: 'target' }),
      'The targets "a" and "target" have the same prefix "target" (default) — write another "prefix" in one of them',
    ],
    [
      { flags: { 'targets.*.url': ['a=https://a.example'], 'targets.*.prefix': 'p' } },
      '--prefix applies to a single target, and there are 2 (flag --prefix) — write "prefix" in each target of the configuration file',
    ],
    [
      { flags: { 'targets.*.url': ['https://a.example', 'https://b.example'] } },
      'The target "target" is given twice (flag --target) — write --target <name>=<url> with a name for each',
    ],
    [
      target({ tools: { scopes: { a: 'b' } } }),
      `targets.a.tools.scopes is {"a":"b"} (file ./${NAME}:6) — write an object such as {"create_*": ["one", "two"]}`,
    ],
    [
      { file: { server: { prot: 1 } } },
      `Unknown setting "server.prot" (file ./${NAME}:3) — did you mean "port"?`,
    ],
    [
      { file: { log: { destination: 1 } } },
      `Unknown setting "log.destination" (file ./${NAME}:3) — write one of level, format`,
    ],
    [
      { file: { console: { word: 1 } } },
      `Unknown setting "console.word" (file ./${NAME}:3) — the only setting here is \`token\``,
    ],
    [
      { file: { targets: [] } },
      `targets is not an object (file ./${NAME}:2) — write an object with a member for each target`,
    ],
    [
      { file: { server: 8000 } },
      `server is not an object (file ./${NAME}:2) — write an object with members such as "host"`,
    ],
    [
      { file: { profiles: { x: { server: { hots: 1 } } } } },
      `Unknown setting "server.hots" (file ./${NAME}:5) — did you mean "host"?`,
    ],
    [
      { file: { profiles: { work: {} } }, flags: { profile: 'wrok' } },
      `Unknown profile "wrok" in ./${NAME} (flag --profile) — did you mean "work"?`,
    ],
    [
      { env: { MCP_DESCOPE_PROFILE: 'work' } },
      'Unknown profile "work" (env MCP_DESCOPE_PROFILE) — write a configuration file with "profiles", or leave it out',
    ],
    [
      { flags: { config: 'missing.json' } },
      'The configuration file missing.json cannot be read (flag --config) — name a JSON or YAML file that exists',
    ],
    [
      { env: { MCP_DESCOPE_CONFIG: 'config.js' } },
      'The configuration file config.js is a script, and configuration never runs code (env MCP_DESCOPE_CONFIG) — name a JSON or YAML file that exists',
    ],
    [
      { file: '[1]' },
      `./${NAME} is broken: it is not an object (file ./${NAME}) — write valid JSON or YAML`,
    ],
    [
      { file: { session: { secret: '${NOT_SET}' } } },
      `session.secret: the variable NOT_SET is not set (file ./${NAME}:3) — write \${NOT_SET:-default}, or set NOT_SET in the environment`,
    ],
    [
      { file: { server: { path: '/${a.b}' } } },
      `server.path: "\${a.b}" is not a valid reference (file ./${NAME}:3) — write \${NAME} or \${NAME:-default}, and $\${ for the characters \${ themselves`,
    ],
    [
      { file: { session: { secret: '@./missing' } } },
      `session.secret: the file ./missing cannot be read (file ./${NAME}:3) — write the path of a file that holds the secret`,
    ],
    [
      credential({ type: 'bearer' }),
      `targets.a.credential.token is missing (file ./${NAME}:6) — write it, the type "bearer" needs token`,
    ],
    [
      credential({ type: 'none', scope: 'x' }),
      `targets.a.credential.scope does not apply to the type "none" (file ./${NAME}:7) — write nothing else`,
    ],
    [
      credential({ token: '${X:-y}' }),
      `targets.a.credential.type is missing (file ./${NAME}:6) — write one of none, bearer, header, client-credentials, token-exchange, connection`,
    ],
    [
      credential({ type: 'basic' }),
      `targets.a.credential.type is "basic" (file ./${NAME}:6) — write none, bearer, header, client-credentials, token-exchange or connection`,
    ],
  ])('of %j is told as text', (given, problem) => {
    expect(problemsOf(given)).toContain(problem)
  })

  it('does not hide the others', () => {
    const problems = problemsOf({
      file: { server: { prot: 1 }, limits: { bodyBytes: 0 } },
      env: { PORT: 'x', TARGET_MCP_SERVER_URL: '' },
      flags: { 'log.level': 'loud' },
    })
    expect(problems).toHaveLength(5)
    expect(() => load({ env: { PORT: 'x' }, flags: { 'log.level': 'loud' } })).toThrow(
      'The configuration has 2 problems:\n  server.port is "x" (env PORT) — write a whole number from 0 to 65535\n  log.level is "loud" (flag --log-level) — write debug, info, warn, error or silent',
    )
  })

  it('of broken JSON or YAML names the place', () => {
    expect(problemsOf({ file: '{"server": }' })[0]).toContain(`(file ./${NAME}) — write valid JSON`)
    const name = '.mcp-descope-proxyrc.yaml'
    expect(problemsOf({ file: 'a: [', name })[0]).toMatch(
      /^\.\/\.mcp-descope-proxyrc\.yaml is broken: /,
    )
  })

  it('in a value that a stronger source replaces does not count', () => {
    expect(problemsOf({ file: { server: { port: '${NOT_SET}' } }, env: { PORT: '1' } })).toEqual([])
  })
})

describe('a warning', () => {
  it.each<[Case, string]>([
    [
      { env: { MCP_DESCOPE_LOG_LEVLE: 'debug' } },
      'Unknown variable MCP_DESCOPE_LOG_LEVLE (env MCP_DESCOPE_LOG_LEVLE) — did you mean MCP_DESCOPE_LOG_LEVEL?',
    ],
    [
      { env: { MCP_DESCOPE_WORKERS: '2' } },
      'Unknown variable MCP_DESCOPE_WORKERS (env MCP_DESCOPE_WORKERS) — did you mean MCP_DESCOPE_SERVER_WORKERS?',
    ],
    [
      { env: { MCP_DESCOPE_SERVER_URL: 'https://x.example' } },
      'Unknown variable MCP_DESCOPE_SERVER_URL (env MCP_DESCOPE_SERVER_URL) — did you mean SERVER_URL?',
    ],
    [
      credential({ type: 'bearer', token: 'plain-text' }),
      `targets.a.credential.token is in plain text in the file (file ./${NAME}:7) — write \${VARIABLE} or @/path/to/file`,
    ],
    [
      { env: { SERVER_URL: 'http://mcp.example.com' } },
      'server.publicUrl is not https (env SERVER_URL) — write the https URL, because tokens travel over it',
    ],
    [
      { env: { MCP_DESCOPE_DESCOPE_AUDIENCE: 'P1' } },
      'Tokens made for "P1" are accepted too (env MCP_DESCOPE_DESCOPE_AUDIENCE) — leave descope.audience empty to accept only those made for this server',
    ],
    [
      { flags: { 'server.insecureNoAuth': true } },
      'Sign-in is off, although descope.configUrl is set (flag --insecure-no-auth) — leave out --insecure-no-auth to switch it on',
    ],
    [
      { ...target({}), env: { TARGET_MCP_SERVER_URL: '', TARGET_TOKEN: 'x' } },
      'TARGET_TOKEN is not used, because no target is called "target" (env TARGET_TOKEN) — set TARGET_MCP_SERVER_URL too',
    ],
    [
      {
        ...credential({ type: 'bearer', token: '${T:-x}' }),
        flags: { 'targets.*.url': ['a=https://evil.example'] },
      },
      `The credential of target "a" goes to another server than the file names (flag --target, file ./${NAME}:6) — if that is not intended, give it a credential of its own`,
    ],
    [
      { env: { MCP_DESCOPE_CONSOLE_TOKEN: 'x'.repeat(32) } },
      'console.token is set, and there is no console without a metrics port (env MCP_DESCOPE_CONSOLE_TOKEN) — set server.metricsPort, or leave it out',
    ],
    [
      { file: '', name: 'mcp-descope-proxy.config.js' },
      './mcp-descope-proxy.config.js is not read — write mcp-descope-proxy.config.json or .yaml instead',
    ],
  ])('of %j is told as text', (given, warning) => {
    expect(load(given).warnings).toContain(warning)
  })

  it('of TARGET_TOKEN is not told where the file refers to the variable', () => {
    const given = credential({ type: 'bearer', token: '${TARGET_TOKEN}' })
    const env = { TARGET_MCP_SERVER_URL: '', TARGET_TOKEN: 'x' }
    expect(load({ ...given, env }).warnings).toEqual([])
  })
})
