import type { KindTypes } from './kinds.js'
import { LOOKUPS, type Setting, setting } from './table.js'

/** The target that the environment and a nameless `--target` configure. */
export const ENVIRONMENT_TARGET = 'target'

/** Variables that stand for flags of the bridge. */
export const BRIDGE_VARIABLES = [
  'MCP_DESCOPE_ALLOW_HTTP',
  'MCP_DESCOPE_CA',
  'MCP_DESCOPE_CALLBACK_PORT',
  'MCP_DESCOPE_HEADER',
  'MCP_DESCOPE_IPV4',
  'MCP_DESCOPE_LOG_FILE',
  'MCP_DESCOPE_LOGIN',
  'MCP_DESCOPE_LOGIN_WAIT',
  'MCP_DESCOPE_NO_BROWSER',
  'MCP_DESCOPE_NO_PROXY_ENV',
  'MCP_DESCOPE_NO_RESOURCE',
  'MCP_DESCOPE_PROTOCOL',
  'MCP_DESCOPE_SCOPE',
  'MCP_DESCOPE_STORE',
  'MCP_DESCOPE_TRANSPORT',
  'MCP_DESCOPE_WAIT_FOR_LOGIN',
] as const

/** Variables of this package that are not settings. */
export const OTHER_VARIABLES: readonly string[] = [
  ...LOOKUPS.map((lookup) => lookup.env),
  'MCP_DESCOPE_HOME',
  'MCP_DESCOPE_CLIENT_ID',
  'MCP_DESCOPE_CLIENT_SECRET',
  'MCP_DESCOPE_CLIENT_METADATA_URL',
  'MCP_DESCOPE_TOKEN',
  ...BRIDGE_VARIABLES,
]

/** THE table of settings, in the order in which people read it. */
export const SETTINGS = [
  setting(
    'descope.configUrl',
    'configUrl',
    undefined,
    'Discovery URL of the MCP server in Descope: https://…/.well-known/openid-configuration.',
    { flag: '--descope-config-url <url>', env: ['DESCOPE_CONFIG_URL'] },
  ),
  setting('descope.audience', 'texts', [], 'Audiences accepted besides the public MCP URL.'),
  setting('descope.requiredScopes', 'texts', [], 'Scopes that every token must carry.'),
  setting('descope.issuers', 'issuers', [], 'Issuers accepted besides those of the discovery URL.'),

  setting('server.host', 'host', '127.0.0.1', 'Address to listen on.', {
    flag: '--host <host>',
    env: ['HOST'],
  }),
  setting('server.port', 'port', 8000, 'Port to listen on; 0 picks a free one.', {
    flag: '--port <port>',
    env: ['PORT'],
  }),
  setting('server.path', 'path', '/mcp', 'Path of the MCP endpoint.', { flag: '--path <path>' }),
  setting(
    'server.publicUrl',
    'publicUrl',
    undefined,
    'URL under which clients reach this server; by default that of Vercel, else http://localhost.',
    { flag: '--public-url <url>', env: ['SERVER_URL'] },
  ),
  setting('server.allowedOrigins', 'origins', [], 'Further origins that browsers may call from.', {
    flag: '--allowed-origin <origin>',
  }),
  setting('server.allowedHosts', 'hosts', [], 'Further values of the Host header to accept.', {
    flag: '--allowed-host <host>',
  }),
  setting('server.workers', 'positive', 1, 'Processes that serve.', { flag: '--workers <count>' }),
  setting('server.metricsPort', 'port', undefined, 'Port of /metrics, on its own listener.', {
    flag: '--metrics-port <port>',
  }),
  setting('server.metricsHost', 'host', '127.0.0.1', 'Address that /metrics listens on.'),
  setting('server.insecureNoAuth', 'boolean', false, 'Serve without sign-in, on loopback only.', {
    flag: '--insecure-no-auth',
  }),

  setting('session.secret', 'sessionSecret', undefined, 'Seals session ids; the same everywhere.', {
    env: ['SESSION_SECRET', 'MCP_DESCOPE_SESSION_SECRET'],
  }),
  setting('session.previousSecrets', 'sessionSecrets', [], 'Secrets that still open session ids.'),

  setting(
    'targets.*.url',
    'url',
    undefined,
    'MCP endpoint of the target; the flag takes url or name=url.',
    {
      flag: '--target <url>',
      env: ['TARGET_MCP_SERVER_URL'],
    },
  ),
  setting('targets.*.transport', 'transport', 'auto', 'Of the URL: http, sse, or what it takes.'),
  setting('targets.*.command', 'command', undefined, 'Program of the target, in place of a URL.'),
  setting('targets.*.args', 'texts', [], 'Its arguments.'),
  setting('targets.*.env', 'environment', {}, 'Its variables, besides PATH, HOME and the like.'),
  setting('targets.*.cwd', 'folder', undefined, 'Its working directory; by default ours.'),
  setting('targets.*.maxChildren', 'positive', 20, 'Most processes of the program at once.'),
  setting('targets.*.maxRequests', 'positive', 64, 'Most requests under way at one process.'),
  setting('targets.*.prefix', 'prefix', undefined, 'Before its names; by default its own name.', {
    flag: '--prefix <prefix>',
  }),
  setting('targets.*.credential.type', 'credentialType', 'none', 'How we sign in at the target.'),
  setting('targets.*.credential.token', 'token', undefined, 'bearer: the token.', {
    env: ['TARGET_TOKEN'],
  }),
  setting('targets.*.credential.name', 'headerName', undefined, 'header: its name.'),
  setting('targets.*.credential.value', 'headerValue', undefined, 'header: its value.'),
  setting('targets.*.credential.tokenUrl', 'url', undefined, 'client-credentials: where to ask.'),
  setting('targets.*.credential.clientId', 'text', undefined, 'The client that we are there.'),
  setting('targets.*.credential.clientSecret', 'secret', undefined, 'The secret of that client.'),
  setting('targets.*.credential.scope', 'text', undefined, 'Scopes to ask for.'),
  setting('targets.*.credential.resource', 'url', undefined, 'token-exchange: RFC 8707 resource.'),
  setting('targets.*.credential.audience', 'text', undefined, 'token-exchange: the audience.'),
  setting('targets.*.credential.app', 'text', undefined, 'connection: id of the outbound app.'),
  setting('targets.*.credential.by', 'connectionBy', 'user', 'connection: whose token it is.'),
  setting('targets.*.credential.managementKey', 'secret', undefined, 'connection: to ask with.'),
  setting('targets.*.tools.allow', 'globs', ['*'], 'Tools to offer; an empty list offers none.'),
  setting('targets.*.tools.deny', 'globs', [], 'Tools to withhold.'),
  setting('targets.*.tools.scopes', 'globMap', {}, 'Scopes that calling a tool needs.'),
  setting('targets.*.tools.roles', 'globMap', {}, 'Roles of which a caller needs one.'),
  setting('targets.*.tools.tenants', 'globMap', {}, 'Tenants of which a caller needs one.'),
  setting('targets.*.tools.whenScopeMissing', 'whenScopeMissing', 'list', 'Or hide such a tool.'),
  setting(
    'targets.*.methods',
    'texts',
    [],
    'Further methods that pass; any where its tools are open.',
  ),

  setting('limits.bodyBytes', 'positive', 4_194_304, 'Largest request body.', { unit: 'bytes' }),
  setting(
    'limits.bufferedBytes',
    'positive',
    268_435_456,
    'Answers held in memory until clients have read them, all together; more get an error.',
    { unit: 'bytes' },
  ),
  setting('limits.children', 'positive', 100, 'Most processes of all targets at once.'),
  setting('limits.calls', 'whole', 1_000, 'Requests under way at once in a process; 0: no limit.'),
  setting('limits.callsPerCaller', 'whole', 100, 'The same of one subject.'),
  setting('limits.streams', 'whole', 5_000, 'Streams open at once in a process; 0: no limit.'),
  setting('limits.streamsPerCaller', 'whole', 50, 'The same of one subject.'),
  setting('limits.requestsPerMinute', 'whole', 0, 'Per subject and client id; 0 means no limit.'),

  setting('timeouts.headers', 'seconds', 15, "A client's request headers."),
  setting('timeouts.body', 'seconds', 30, "A client's request body."),
  setting('timeouts.heartbeat', 'seconds', 15, 'Between two signs of life on an open stream.'),
  setting('timeouts.list', 'seconds', 3, "A target's answer to initialize and to lists."),
  setting('timeouts.answer', 'seconds', 300, "A target's answer; progress starts it again."),
  setting('timeouts.request', 'seconds', undefined, 'A whole request with its stream.'),
  setting('timeouts.start', 'seconds', 60, "A program's start, until it answers initialize."),
  setting('timeouts.idle', 'seconds', 300, 'A program or an HTTP+SSE stream that nobody uses.'),
  setting('timeouts.drain', 'seconds', 25, 'Running requests at shutdown.'),

  setting('names.maxLength', 'positive', 56, 'Longest tool or prompt name; more gets an alias.'),

  setting('log.level', 'logLevel', 'info', 'debug, info, warn, error or silent.', {
    flag: '--log-level <level>',
  }),
  setting('log.format', 'logFormat', 'text', 'text or json.', { flag: '--log-format <format>' }),
] as const satisfies readonly Setting[]

type Row = (typeof SETTINGS)[number]

export type SettingKey = Row['key']

/** The value of each setting, by key. */
export type SettingValues = {
  [R in Row as R['key']]: R extends Setting<R['key'], infer T> ? KindTypes[T] : never
}

/** Raw text of flags, by key; `true` for a flag without argument. */
export type Flags = Partial<
  Record<SettingKey | (typeof LOOKUPS)[number]['key'], string | true | readonly string[]>
>

/** Finds the row of a key, with or without the name of a target in it. */
export function findSetting(key: string): Setting | undefined {
  const pattern = key.replace(/^targets\.[^.]+\./, 'targets.*.')
  return SETTINGS.find((row) => row.key === pattern)
}
