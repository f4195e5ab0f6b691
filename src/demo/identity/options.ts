import { z } from 'zod'
import { ProxyError } from '../../util/errors.js'

const strings = z.array(z.string())

const user = z.strictObject({
  id: z.string().default('U2demoUserOfTheEmulator00000'),
  email: z.string().default('demo@example.com'),
  name: z.string().default('Demo User'),
  /** The tenant that the user is signed in to (`dct`). */
  tenant: z.string().optional(),
  roles: strings.default([]),
  permissions: strings.default([]),
  tenants: z
    .record(z.string(), z.strictObject({ roles: strings, permissions: strings }))
    .default({}),
  /** Custom claims of the access token. Descope puts no `email` there by itself. */
  claims: z.record(z.string(), z.unknown()).default({}),
})

const client = z.strictObject({
  clientId: z.string().min(1),
  /** Without it, the client is public. */
  clientSecret: z.string().min(1).optional(),
  name: z.string().default('A configured client'),
  redirectUris: strings.default([]),
  /** Whether a Policy gives this client access to the MCP server. */
  policy: z.boolean().default(true),
})

const accessKey = z.strictObject({
  key: z.string().min(1),
  keyId: z.string().default('K2demoAccessKeyOfEmulator000'),
  claims: z.record(z.string(), z.unknown()).default({}),
})

const connection = z.strictObject({
  appId: z.string(),
  /** The user who owns the connection; without it, the tenant does. */
  userId: z.string().optional(),
  tenantId: z.string().optional(),
  accessToken: z.string(),
  /** The new `accessToken` after a refresh of the connection. */
  nextAccessToken: z.string().optional(),
  refreshToken: z.string().optional(),
  scopes: strings.default([]),
  /** Seconds since the epoch; 0 means never. */
  expiresAt: z.number().default(0),
  /** Whether a Policy lets it be read; else 403. */
  policy: z.boolean().default(true),
})

const failure = z.strictObject({
  /** A request's path, or the end of it: `/token`. */
  path: z.string().min(1),
  /** 0 closes the connection without an answer. */
  status: z.union([z.literal(0), z.int().min(200).max(599)]),
  times: z.int().min(0).default(1),
  body: z.union([z.string(), z.record(z.string(), z.unknown())]).optional(),
  /** Seconds, sent as `Retry-After`. */
  retryAfter: z.int().min(0).optional(),
  /** Process the request, and lose only the answer. */
  afterHandling: z.boolean().default(false),
})

const shape = {
  host: z.string().default('127.0.0.1'),
  /** 0 picks a free port. */
  port: z.int().min(0).max(65_535).default(0),
  /** Origin that the documents name, when others reach the emulator by another one. */
  publicUrl: z.url().optional(),
  /** Random unless given. A fixed one keeps `DESCOPE_CONFIG_URL` the same from run to run. */
  projectId: z
    .string()
    .regex(/^P[A-Za-z0-9]{27,31}$/)
    .optional(),
  serverId: z
    .string()
    .regex(/^(MS|RS)[A-Za-z0-9]{27}$/)
    .optional(),
  /** Form of `iss` in access tokens; Descope uses all of them. */
  issuer: z.enum(['project', 'agentic', 'tenant', 'bare']).default('project'),
  /** `project` makes it one string, the others a list. */
  aud: z
    .enum(['client+project+resource', 'client+project', 'project'])
    .default('client+project+resource'),
  /** Off: a refresh answers without a refresh token, and the old one stays good. */
  rotateRefresh: z.boolean().default(true),
  /** A replayed refresh token ends its whole family. It is counted either way. */
  reuseDetection: z.boolean().default(true),
  /** Life of an access token, seconds. */
  ttl: z.int().min(1).default(600),
  /** Life of a refresh token, seconds; 0 issues none. */
  refreshTtl: z.int().min(0).default(2_419_200),
  /** Dynamic client registration (RFC 7591). */
  dcr: z.boolean().default(true),
  /** Client ID Metadata Documents. */
  cimd: z.boolean().default(false),
  /** Device authorization (RFC 8628). */
  device: z.boolean().default(false),
  /** Life of a device code, seconds. */
  deviceTtl: z.int().min(1).default(180),
  /** Seconds between two polls; a fraction makes tests fast. */
  deviceInterval: z.number().positive().default(5),
  /** Status of a poll that yields no token yet. */
  devicePollStatus: z.union([z.literal(400), z.literal(200)]).default(400),
  errorStyle: z.enum(['descope', 'oauth']).default('descope'),
  /** Answer at RFC 8414's path-inserted URL of the MCP server too. */
  pathInserted: z.boolean().default(false),
  /** The scopes of the MCP server. */
  scopes: strings.default(['mcp:use']),
  /** The *MCP Server URL* setting: always in `aud`, and the only `resource` then accepted. */
  resourceUrl: z.string().nullish(),
  registerStatus: z.union([z.literal(201), z.literal(200)]).default(201),
  /** Send `iss` on redirects (RFC 9207). */
  iss: z.boolean().default(false),
  /** What the user does: approve or deny at once, or decide on a page. */
  approval: z.enum(['auto', 'deny', 'page']).default('auto'),
  user: user.prefault({}),
  fail: z.array(failure).default([]),
  /** Delay of every answer, milliseconds. */
  delayMs: z.int().min(0).default(0),
  clients: z.array(client).default([]),
  accessKeys: z.array(accessKey).default([]),
  managementKeys: strings.default([]),
  connections: z.array(connection).default([]),
}

const schema = z.strictObject(shape)

/** All options. Each member is described in the schema above. */
export type IdentityOptions = z.output<typeof schema>
/** The same with every member optional. */
export type IdentityInput = z.input<typeof schema>
export type Failure = z.output<typeof failure>
export type ConfiguredConnection = z.output<typeof connection>

const FIXED = ['host', 'port', 'publicUrl', 'projectId', 'serverId'] as const

/**
 * Checks options and fills in the defaults.
 *
 * @throws {ProxyError} `USAGE`, naming every member that is unknown or has a wrong value.
 */
export function parseOptions(input: unknown): IdentityOptions {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  throw new ProxyError('USAGE', `Emulator options: ${z.prettifyError(result.error)}`)
}

/**
 * Changes options while the emulator runs. Lists and `user` replace what was there; a member that
 * is `undefined` goes back to its default.
 *
 * @throws {ProxyError} `USAGE`, also for a member that is fixed at start.
 */
export function changeOptions(current: IdentityOptions, changes: object): IdentityOptions {
  const fixed = FIXED.find((name) => name in changes)
  if (fixed !== undefined) throw new ProxyError('USAGE', `"${fixed}" is fixed when it starts`)
  return parseOptions({ ...current, ...changes })
}
