import type { KindTypes } from './kinds.js'
import { BREAKER_ROWS, LIMIT_ROWS } from './limit-rows.js'
import { AUDIT_ROWS, LOOKUPS, rulesOf, type Setting, section, VARIABLES_OF_FLAGS } from './table.js'

/** Name of the target that the environment, or `--target` without a name, configures. */
export const ENVIRONMENT_TARGET = 'target'

/** Variables of this package that are not settings. */
export const OTHER_VARIABLES: readonly string[] = [
  ...LOOKUPS.map((lookup) => lookup.env),
  'MCP_DESCOPE_HOME',
  'MCP_DESCOPE_CLIENT_ID',
  'MCP_DESCOPE_CLIENT_SECRET',
  'MCP_DESCOPE_CLIENT_METADATA_URL',
  'MCP_DESCOPE_TOKEN',
  ...VARIABLES_OF_FLAGS,
]

/** All settings by section: the kind of each, its default, its meaning and where else it is set. */
const TABLE = [
  ...section('descope', {
    configUrl: [
      'configUrl',
      undefined,
      'Discovery URL of the MCP server in Descope: https://…/.well-known/openid-configuration.',
      { flag: '--descope-config-url <url>', env: ['DESCOPE_CONFIG_URL'] },
    ],
    audience: ['texts', [], 'Audiences accepted besides the public MCP URL.'],
    requiredScopes: ['texts', [], 'Scopes that every token must carry.'],
    issuers: ['issuers', [], 'Issuers accepted besides those of the discovery URL.'],
    managementKey: ['token', undefined, 'Descope management key, for tools.fga and audit.descope.'],
    dpop: ['dpop', 'off', 'Tokens bound to a key, with a DPoP proof: off, accept or require.'],
  }),
  ...section('server', {
    host: ['host', '127.0.0.1', 'Address to listen on.', { flag: '--host <host>', env: ['HOST'] }],
    port: [
      'port',
      8000,
      'Port to listen on; 0 picks a free one.',
      { flag: '--port <port>', env: ['PORT'] },
    ],
    path: ['path', '/mcp', 'Path of the MCP endpoint.', { flag: '--path <path>' }],
    endpoints: [
      'endpoints',
      'merged',
      'merged: all targets at the path; each: every target at /<target><path>; or both.',
    ],
    publicUrl: [
      'publicUrl',
      undefined,
      'URL under which clients reach this server; by default that of Vercel, else http://localhost.',
      { flag: '--public-url <url>', env: ['SERVER_URL'] },
    ],
    allowedOrigins: [
      'origins',
      [],
      'Further origins that browsers may call from.',
      { flag: '--allowed-origin <origin>' },
    ],
    allowedHosts: [
      'hosts',
      [],
      'Further values of the Host header to accept.',
      { flag: '--allowed-host <host>' },
    ],
    workers: ['positive', 1, 'Number of worker processes.', { flag: '--workers <count>' }],
    metricsPort: [
      'port',
      undefined,
      'Port of /metrics, on its own listener.',
      { flag: '--metrics-port <port>' },
    ],
    metricsHost: ['host', '127.0.0.1', 'Address that /metrics listens on.'],
    watch: ['boolean', true, 'Read the configuration anew when one of its files changes.'],
    insecureNoAuth: [
      'boolean',
      false,
      'Serve without sign-in, on loopback only.',
      { flag: '--insecure-no-auth' },
    ],
  }),
  ...section('session', {
    secret: [
      'sessionSecret',
      undefined,
      'Key that encrypts session ids; the same on every replica.',
      { env: ['SESSION_SECRET', 'MCP_DESCOPE_SESSION_SECRET'] },
    ],
    previousSecrets: ['sessionSecrets', [], 'Earlier secrets that still decrypt session ids.'],
  }),
  ...section('identity', {
    key: [
      'identityKey',
      undefined,
      'Private key that signs identities for targets; by default one is made at the start.',
    ],
    previousKeys: [
      'identityKeys',
      [],
      'Further keys to publish, so that keys can be changed without a failed call.',
    ],
  }),
  ...section('console', {
    token: [
      'sessionSecret',
      undefined,
      'Password of the operator page on the metrics port; needed where server.metricsHost is beyond loopback.',
    ],
  }),
  ...section('targets.*', {
    url: [
      'url',
      undefined,
      'MCP endpoint of the target; the flag takes url or name=url.',
      { flag: '--target <url>', env: ['TARGET_MCP_SERVER_URL'] },
    ],
    transport: ['transport', 'auto', 'Transport of the URL: auto, http or sse.'],
    command: ['command', undefined, 'Program to start, in place of a URL.'],
    args: ['texts', [], 'Arguments of the program.'],
    env: ['environment', {}, 'Variables of the program, besides PATH, HOME and the like.'],
    cwd: ['folder', undefined, 'Working directory of the program; by default that of the proxy.'],
    maxChildren: ['positive', 20, 'Largest number of processes of the program.'],
    maxRequests: ['positive', 64, 'Largest number of concurrent requests to one process.'],
    prefix: [
      'prefix',
      undefined,
      'Prefix of its tool and prompt names; by default the name of the target.',
      { flag: '--prefix <prefix>' },
    ],
  }),
  ...section('targets.*.credential', {
    type: ['credentialType', 'none', 'How the proxy authenticates at the target.'],
    token: ['token', undefined, 'bearer: the token.', { env: ['TARGET_TOKEN'] }],
    name: ['headerName', undefined, 'header: name of the header.'],
    value: ['headerValue', undefined, 'header: value of the header.'],
    tokenUrl: [
      'url',
      undefined,
      "client-credentials, token-exchange: token endpoint; by default discovered, or Descope's shared one.",
    ],
    clientId: ['text', undefined, 'client-credentials, token-exchange: OAuth client id.'],
    clientSecret: ['secret', undefined, 'client-credentials, token-exchange: OAuth client secret.'],
    clientKey: [
      'clientKey',
      undefined,
      'client-credentials, token-exchange: private key for private_key_jwt, in place of a secret.',
    ],
    scope: ['text', undefined, 'client-credentials, token-exchange: scopes to request.'],
    resource: [
      'uri',
      undefined,
      "token-exchange: RFC 8707 resource, any absolute URI; by default the target's URL.",
    ],
    audience: ['oneOrMore', undefined, 'token-exchange: RFC 8693 audience, one or several.'],
    app: ['text', undefined, 'connection: id of the connection (outbound app) in Descope.'],
    by: ['connectionBy', 'user', 'connection: whose token to use, user or tenant.'],
    tenant: [
      'boolean',
      false,
      "connection: the user's connection of the tenant that the caller is signed in to.",
    ],
    scopes: [
      'texts',
      undefined,
      'connection: exactly the scopes of the connection; by default the latest one.',
    ],
    header: [
      'connectionHeader',
      undefined,
      'connection: header for an API key, by name or as name and prefix; by default Authorization: Bearer.',
    ],
    managementKey: ['secret', undefined, 'connection: Descope management key.'],
  }),
  ...section('targets.*.identity', {
    method: [
      'identityMethod',
      undefined,
      'How the target is told who calls: claims, as JSON, or jwt, which is signed.',
    ],
    claims: [
      'texts',
      ['sub', 'tenant', 'roles', 'permissions', 'scope', 'client_id'],
      'What the target is told of the caller.',
    ],
    header: [
      'headerName',
      undefined,
      'Header to tell it in; by default X-User-Claims or X-User-JWT.',
    ],
  }),
  ...section('targets.*.access', {
    tenants: ['texts', undefined, 'Tenants that may use the target at all.'],
    roles: ['texts', undefined, 'Roles that may use the target at all.'],
    permissions: ['texts', undefined, 'Permissions that may use the target at all.'],
    scopes: ['texts', undefined, 'Scopes that may use the target at all.'],
  }),
  ...section('targets.*.descope', {
    configUrl: [
      'configUrl',
      undefined,
      'Discovery URL of the MCP server in Descope for its own endpoint; by default that of descope.',
    ],
  }),
  ...section('targets.*.tools', {
    allow: ['globs', ['*'], 'Tools to offer; an empty list offers none.'],
    deny: ['globs', [], 'Tools to hide, and to refuse when called.'],
    scopes: ['globMap', {}, 'Scopes that a call needs, all of them.'],
    roles: ['globMap', {}, 'Roles of which the caller needs one.'],
    permissions: ['globMap', {}, 'Permissions of which the caller needs one.'],
    tenants: ['globMap', {}, 'Tenants of which the caller needs one.'],
    stepUp: ['globs', [], 'Tools whose call needs a step-up: a token with the claim su.'],
    fga: ['relations', {}, 'Tools whose call needs a relation in Descope FGA.'],
    whenScopeMissing: [
      'whenScopeMissing',
      'list',
      'Tools whose scopes the caller lacks: list or hide.',
    ],
  }),
  ...section('targets.*.prompts', rulesOf('Prompts')),
  ...section('targets.*.resources', rulesOf('Resources')),
  ...section('targets.*.breaker', BREAKER_ROWS),
  ...section('targets.*', {
    rules: ['rules', [], 'Rules in CEL that deny calls of tools: docs/rules.md.'],
    methods: [
      'texts',
      [],
      'Methods outside MCP to forward; every method while nothing restricts its tools, prompts and resources.',
    ],
  }),
  ...section('limits', LIMIT_ROWS),
  ...section('timeouts', {
    headers: ['seconds', 15, "Time for a client's request headers to arrive."],
    body: ['seconds', 30, "Time for a client's request body to arrive."],
    heartbeat: ['seconds', 15, 'Time between two heartbeats on an open stream.'],
    list: ['seconds', 3, 'Time for a target to answer initialize and lists.'],
    answer: ['seconds', 300, 'Time for a target to answer; progress restarts it.'],
    request: [
      'seconds',
      undefined,
      'Time for a whole request with its stream; by default no limit.',
    ],
    start: ['seconds', 60, 'Time for a program to start and answer initialize.'],
    idle: ['seconds', 300, 'Time after which an unused program or HTTP+SSE stream is closed.'],
    store: [
      'seconds',
      0.1,
      'Time for limits.store to answer; beyond it, each process counts alone.',
    ],
    drain: ['seconds', 25, 'Time for running requests to finish at shutdown.'],
  }),
  ...section('names', {
    maxLength: ['positive', 56, 'Longest tool or prompt name; a longer one gets an alias.'],
  }),
  ...section('log', {
    level: [
      'logLevel',
      'info',
      'debug, info, warn, error or silent.',
      { flag: '--log-level <level>' },
    ],
    format: ['logFormat', 'text', 'text or json.', { flag: '--log-format <format>' }],
  }),
  ...section('audit', AUDIT_ROWS),
]

/** The table of settings, from which flags, variables, the JSON Schema and the README come. */
export const SETTINGS: readonly Setting[] = TABLE

type Row = (typeof TABLE)[number]

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
