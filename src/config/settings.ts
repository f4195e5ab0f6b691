import type { KindTypes } from './kinds.js'
import { type LOOKUPS, type Setting, setting } from './table.js'

/** Name of the target that the environment, or `--target` without a name, configures. */
export const ENVIRONMENT_TARGET = 'target'

/** The table of settings, from which flags, variables, the JSON Schema and the README come. */
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
  setting('server.workers', 'positive', 1, 'Number of worker processes.', {
    flag: '--workers <count>',
  }),
  setting('server.metricsPort', 'port', undefined, 'Port of /metrics, on its own listener.', {
    flag: '--metrics-port <port>',
  }),
  setting('server.metricsHost', 'host', '127.0.0.1', 'Address that /metrics listens on.'),
  setting('server.insecureNoAuth', 'boolean', false, 'Serve without sign-in, on loopback only.', {
    flag: '--insecure-no-auth',
  }),

  setting(
    'session.secret',
    'sessionSecret',
    undefined,
    'Key that encrypts session ids; the same on every replica.',
    {
      env: ['SESSION_SECRET', 'MCP_DESCOPE_SESSION_SECRET'],
    },
  ),
  setting(
    'session.previousSecrets',
    'sessionSecrets',
    [],
    'Earlier secrets that still decrypt session ids.',
  ),

  setting(
    'identity.key',
    'identityKey',
    undefined,
    'Private key that signs identities for targets; by default one is made at the start.',
  ),
  setting(
    'identity.previousKeys',
    'identityKeys',
    [],
    'Further keys to publish, so that keys can be changed without a failed call.',
  ),

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
  setting('targets.*.transport', 'transport', 'auto', 'Transport of the URL: auto, http or sse.'),
  setting('targets.*.command', 'command', undefined, 'Program to start, in place of a URL.'),
  setting('targets.*.args', 'texts', [], 'Arguments of the program.'),
  setting(
    'targets.*.env',
    'environment',
    {},
    'Variables of the program, besides PATH, HOME and the like.',
  ),
  setting(
    'targets.*.cwd',
    'folder',
    undefined,
    'Working directory of the program; by default that of the proxy.',
  ),
  setting('targets.*.maxChildren', 'positive', 20, 'Largest number of processes of the program.'),
  setting(
    'targets.*.maxRequests',
    'positive',
    64,
    'Largest number of concurrent requests to one process.',
  ),
  setting(
    'targets.*.prefix',
    'prefix',
    undefined,
    'Prefix of its tool and prompt names; by default the name of the target.',
    {
      flag: '--prefix <prefix>',
    },
  ),
  setting(
    'targets.*.credential.type',
    'credentialType',
    'none',
    'How the proxy authenticates at the target.',
  ),
  setting('targets.*.credential.token', 'token', undefined, 'bearer: the token.', {
    env: ['TARGET_TOKEN'],
  }),
  setting('targets.*.credential.name', 'headerName', undefined, 'header: name of the header.'),
  setting('targets.*.credential.value', 'headerValue', undefined, 'header: value of the header.'),
  setting(
    'targets.*.credential.tokenUrl',
    'url',
    undefined,
    'client-credentials: token endpoint; by default discovered.',
  ),
  setting(
    'targets.*.credential.clientId',
    'text',
    undefined,
    'client-credentials, token-exchange: OAuth client id.',
  ),
  setting(
    'targets.*.credential.clientSecret',
    'secret',
    undefined,
    'client-credentials, token-exchange: OAuth client secret.',
  ),
  setting(
    'targets.*.credential.scope',
    'text',
    undefined,
    'client-credentials, token-exchange: scopes to request.',
  ),
  setting('targets.*.credential.resource', 'url', undefined, 'token-exchange: RFC 8707 resource.'),
  setting('targets.*.credential.audience', 'text', undefined, 'token-exchange: RFC 8693 audience.'),
  setting('targets.*.credential.app', 'text', undefined, 'connection: id of the outbound app.'),
  setting(
    'targets.*.credential.by',
    'connectionBy',
    'user',
    'connection: whose token to use, user or tenant.',
  ),
  setting(
    'targets.*.credential.managementKey',
    'secret',
    undefined,
    'connection: Descope management key.',
  ),
  setting(
    'targets.*.identity.method',
    'identityMethod',
    undefined,
    'How the target is told who calls: claims, as JSON, or jwt, which is signed.',
  ),
  setting(
    'targets.*.identity.claims',
    'texts',
    ['sub', 'tenant', 'roles', 'permissions', 'scope', 'client_id'],
    'What the target is told of the caller.',
  ),
  setting(
    'targets.*.identity.header',
    'headerName',
    undefined,
    'Header to tell it in; by default X-User-Claims or X-User-JWT.',
  ),
  setting(
    'targets.*.access.tenants',
    'texts',
    undefined,
    'Tenants that may use the target at all.',
  ),
  setting('targets.*.access.roles', 'texts', undefined, 'Roles that may use the target at all.'),
  setting(
    'targets.*.access.permissions',
    'texts',
    undefined,
    'Permissions that may use the target at all.',
  ),
  setting('targets.*.access.scopes', 'texts', undefined, 'Scopes that may use the target at all.'),
  setting('targets.*.tools.allow', 'globs', ['*'], 'Tools to offer; an empty list offers none.'),
  setting('targets.*.tools.deny', 'globs', [], 'Tools to hide, and to refuse when called.'),
  setting('targets.*.tools.scopes', 'globMap', {}, 'Scopes that a call needs, all of them.'),
  setting('targets.*.tools.roles', 'globMap', {}, 'Roles of which the caller needs one.'),
  setting(
    'targets.*.tools.permissions',
    'globMap',
    {},
    'Permissions of which the caller needs one.',
  ),
  setting('targets.*.tools.tenants', 'globMap', {}, 'Tenants of which the caller needs one.'),
  setting(
    'targets.*.tools.whenScopeMissing',
    'whenScopeMissing',
    'list',
    'Tools whose scopes the caller lacks: list or hide.',
  ),
  setting(
    'targets.*.methods',
    'texts',
    [],
    'Methods outside MCP to forward; every method while nothing restricts its tools.',
  ),

  setting('limits.bodyBytes', 'positive', 4_194_304, 'Largest request body.', { unit: 'bytes' }),
  setting(
    'limits.bufferedBytes',
    'positive',
    268_435_456,
    'Total size of the answers held in memory for clients; beyond it, requests fail.',
    { unit: 'bytes' },
  ),
  setting('limits.children', 'positive', 100, 'Largest number of processes of all targets.'),
  setting(
    'limits.calls',
    'whole',
    1_000,
    'Concurrent requests in one process of the proxy; 0 means no limit.',
  ),
  setting('limits.callsPerCaller', 'whole', 100, 'Concurrent requests of one subject.'),
  setting(
    'limits.streams',
    'whole',
    5_000,
    'Open streams in one process of the proxy; 0 means no limit.',
  ),
  setting('limits.streamsPerCaller', 'whole', 50, 'Open streams of one subject.'),
  setting(
    'limits.requestsPerMinute',
    'whole',
    0,
    'Requests a minute of one subject and client; 0 means no limit.',
  ),

  setting('timeouts.headers', 'seconds', 15, "Time for a client's request headers to arrive."),
  setting('timeouts.body', 'seconds', 30, "Time for a client's request body to arrive."),
  setting('timeouts.heartbeat', 'seconds', 15, 'Time between two heartbeats on an open stream.'),
  setting('timeouts.list', 'seconds', 3, 'Time for a target to answer initialize and lists.'),
  setting('timeouts.answer', 'seconds', 300, 'Time for a target to answer; progress restarts it.'),
  setting(
    'timeouts.request',
    'seconds',
    undefined,
    'Time for a whole request with its stream; by default no limit.',
  ),
  setting('timeouts.start', 'seconds', 60, 'Time for a program to start and answer initialize.'),
  setting(
    'timeouts.idle',
    'seconds',
    300,
    'Time after which an unused program or HTTP+SSE stream is closed.',
  ),
  setting('timeouts.drain', 'seconds', 25, 'Time for running requests to finish at shutdown.'),

  setting(
    'names.maxLength',
    'positive',
    56,
    'Longest tool or prompt name; a longer one gets an alias.',
  ),

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
