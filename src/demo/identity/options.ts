import { z } from 'zod'
import { ProxyError } from '../../util/errors.js'

export const stringList = z.array(z.string())

export const projectIdSchema = z.string().regex(/^P[A-Za-z0-9]{27,31}$/)

export const serverIdSchema = z.string().regex(/^(MS|RS)[A-Za-z0-9]{27}$/)

const members = z.record(z.string(), z.unknown())

/** The one user, who is signed in at the emulator already. */
const userSchema = z.strictObject({
  id: z.string().default('U2demoUserOfTheEmulator00000'),
  email: z.string().default('demo@example.com'),
  name: z.string().default('Demo User'),
  /** What a JWT template puts into `sub` instead; the user id is then in `dsub`. */
  subject: z.string().min(1).optional(),
  /** The tenant that the user chooses in the sign-in flow (`dct`), unless the client names one. */
  tenant: z.string().optional(),
  roles: stringList.default([]),
  permissions: stringList.default([]),
  tenants: z
    .record(
      z.string(),
      z.strictObject({ roles: stringList.default([]), permissions: stringList.default([]) }),
    )
    .default({}),
  /** Custom claims of the access token. Descope puts no `email` there by itself. */
  claims: members.default({}),
})

/** A client made by hand. */
const clientSchema = z.strictObject({
  clientId: z.string().min(1),
  /** Without it and without a public key, the client is public. */
  clientSecret: z.string().min(1).optional(),
  /** A public EC P-256 key as a JWK: the client proves itself by `private_key_jwt`. */
  publicKey: z
    .looseObject({ kty: z.literal('EC'), crv: z.literal('P-256'), x: z.string(), y: z.string() })
    .optional(),
  name: z.string().default('A configured client'),
  redirectUris: stringList.default([]),
  /** Whether a Policy gives this client access to the MCP server. */
  policy: z.boolean().default(true),
  /** The toggle of the device flow of this client. */
  device: z.boolean().default(true),
})

const accessKeySchema = z.strictObject({
  key: z.string().min(1),
  keyId: z.string().default('K2demoAccessKeyOfEmulator000'),
  claims: members.default({}),
})

/** A Connection (*outbound app*) to which users or tenants may connect. */
const outboundAppSchema = z.strictObject({
  appId: z.string().min(1),
  /** Whether a third party signs the user in, or the user enters an API key. */
  kind: z.enum(['oauth', 'apiKey']).default('oauth'),
  /** Scopes of a connection that names none. */
  scopes: stringList.default([]),
  /** Whether a Policy lets users connect and read; else 403. */
  policy: z.boolean().default(true),
})

/** What a user or a tenant has connected already. */
export const connectionSchema = z.strictObject({
  appId: z.string(),
  /** The user who owns the connection; without it, the tenant does. */
  userId: z.string().optional(),
  /** Beside `userId`: the tenant for which the user connected. */
  tenantId: z.string().optional(),
  /** The token, or the API key. */
  accessToken: z.string(),
  kind: z.enum(['oauth', 'apiKey']).default('oauth'),
  /** The new `accessToken` after a refresh of the connection. */
  nextAccessToken: z.string().optional(),
  refreshToken: z.string().optional(),
  scopes: stringList.default([]),
  /** Seconds since the epoch; 0 means never. */
  expiresAt: z.number().default(0),
  /** Whether a Policy lets it be read; else 403. */
  policy: z.boolean().default(true),
})

/** A relation that holds (fine-grained authorization). */
const relationSchema = z.strictObject({
  resource: z.string(),
  resourceType: z.string(),
  relation: z.string(),
  target: z.string(),
  targetType: z.string().default('user'),
})

/** An answer that goes wrong. */
const failureSchema = z.strictObject({
  /** A request's path, or the end of it: `/token`. */
  path: z.string().min(1),
  /** 0 closes the connection without an answer. */
  status: z.union([z.literal(0), z.int().min(200).max(599)]),
  times: z.int().min(0).default(1),
  body: z.union([z.string(), members]).optional(),
  /** Seconds, sent as `Retry-After`. */
  retryAfter: z.int().min(0).optional(),
  /** Process the request, and lose only the answer. */
  afterHandling: z.boolean().default(false),
})

/** Forms of `iss` in access tokens. `project-url` is `{base}/{P}`, `bare` the project id alone. */
export const ISSUER_FORMS = ['project', 'agentic', 'tenant', 'bare', 'project-url'] as const

const shape = {
  host: z.string().default('127.0.0.1'),
  /** 0 picks a free port. */
  port: z.int().min(0).max(65_535).default(0),
  /** Origin that the documents name, when others reach the emulator by another one. */
  publicUrl: z.url().optional(),
  /** A folder in which project, keys, clients, connections and refresh tokens outlive a restart. */
  stateFolder: z.string().min(1).optional(),
  /** A confidential client with a Policy; without a secret, one is generated, or taken from the folder. */
  machineClient: z
    .strictObject({ clientId: z.string().min(1), clientSecret: z.string().min(1).optional() })
    .optional(),
  /** Random unless given. A fixed one keeps `DESCOPE_CONFIG_URL` the same from run to run. */
  projectId: projectIdSchema.optional(),
  serverId: serverIdSchema.optional(),
  /** Form of `iss` in access tokens; Descope uses all of them. */
  issuer: z.enum(ISSUER_FORMS).default('project'),
  /** Always a list, as Descope's. `resource` falls back to the project when there is none. */
  aud: z
    .enum(['client+project+resource', 'client+project', 'project', 'resource'])
    .default('client+project+resource'),
  /** Whether the project's own server honours `resource`; else its tokens are for the project. */
  projectResource: z.boolean().default(true),
  /** Roles, permissions and tenants in access tokens: a setting of the MCP server at Descope. */
  forceAddAllAuthorizationInfo: z.boolean().default(false),
  /** `dct` for a user of exactly one tenant who chose none: a JWT template's `auto_tenant_claim`. */
  autoTenantClaim: z.boolean().default(false),
  /** `su: true` in access tokens: always, or where `acr_values` or `prompt=login` requested it. */
  stepUp: z.union([z.boolean(), z.literal('asked')]).default(false),
  /** DPoP (RFC 9449) at the token endpoint. `require` is Descope's `force_dpop`. */
  dpop: z.enum(['off', 'accept', 'require']).default('accept'),
  /** Whether a proof must carry the nonce that the emulator hands out. */
  dpopNonce: z.boolean().default(false),
  /** Off: a refresh answers without a refresh token, and the old one stays valid. */
  rotateRefresh: z.boolean().default(true),
  /** A replayed refresh token ends its whole family. It is counted either way. */
  reuseDetection: z.boolean().default(true),
  /** Lifetime of an access token, seconds. */
  ttl: z.int().min(1).default(600),
  /** Lifetime of a refresh token, seconds; 0 issues none. */
  refreshTtl: z.int().min(0).default(2_419_200),
  /** Lifetime of a refresh token of the project's own clients: an inbound app's 520 weeks. */
  projectRefreshTtl: z.int().min(0).default(314_496_000),
  /** Lifetime of an access key's session, seconds. */
  accessKeyTtl: z.int().min(1).default(600),
  /** Dynamic client registration (RFC 7591). */
  dcr: z.boolean().default(true),
  /** Give a client that registers for it a secret. Descope makes public clients only. */
  dcrSecret: z.boolean().default(false),
  /** The toggle of the device flow of clients that registered themselves. */
  dcrDevice: z.boolean().default(true),
  /** Client ID Metadata Documents. */
  cimd: z.boolean().default(false),
  /** Device authorization (RFC 8628). */
  device: z.boolean().default(false),
  /** Lifetime of a device code, seconds. */
  deviceTtl: z.int().min(1).default(180),
  /** Seconds between two polls; a fraction makes tests fast. */
  deviceInterval: z.number().positive().default(5),
  /** Status of a poll that yields no token yet. */
  devicePollStatus: z.union([z.literal(400), z.literal(200)]).default(400),
  errorStyle: z.enum(['descope', 'oauth']).default('descope'),
  /** Answer at RFC 8414's path-inserted URL of the MCP server too. */
  pathInserted: z.boolean().default(false),
  /** The scopes of the MCP server. */
  scopes: stringList.default(['mcp:use']),
  /** The *MCP Server URL* setting: always in `aud`, and the only `resource` then accepted. */
  resourceUrl: z.string().nullish(),
  registerStatus: z.union([z.literal(201), z.literal(200)]).default(201),
  /** Send `iss` on redirects (RFC 9207). */
  iss: z.boolean().default(false),
  /** What the user does: approve or deny at once, or decide on a page. */
  approval: z.enum(['auto', 'deny', 'page']).default('auto'),
  user: userSchema.prefault({}),
  /** More users: `login_hint` (id or email) or a button of the page chooses one. */
  users: z.array(userSchema).default([]),
  fail: z.array(failureSchema).default([]),
  /** Delay of every answer, milliseconds. */
  delayMs: z.int().min(0).default(0),
  clients: z.array(clientSchema).default([]),
  accessKeys: z.array(accessKeySchema).default([]),
  managementKeys: stringList.default([]),
  connections: z.array(connectionSchema).default([]),
  /** Connections that exist; when empty, any `appId` does. */
  outboundApps: z.array(outboundAppSchema).default([]),
  /** Whether *Delegated access* has a Policy; else the status of the refusal. */
  delegatedAccess: z.union([z.literal(true), z.literal(401), z.literal(403)]).default(true),
  /** Whether token exchange works at the MCP server's token endpoint too. */
  agenticExchange: z.boolean().default(true),
  /** The relations that hold. */
  relations: z.array(relationSchema).default([]),
}

const schema = z.strictObject(shape)

/** All options. Each member is described in the schema above. */
export type IdentityOptions = z.output<typeof schema>

/** The same with every member optional. */
export type IdentityInput = z.input<typeof schema>

export type Failure = z.output<typeof failureSchema>

export type ConfiguredConnection = z.output<typeof connectionSchema>

export type EmulatorUser = z.output<typeof userSchema>

export type OutboundApp = z.output<typeof outboundAppSchema>

const FIXED = [
  ...(['host', 'port', 'publicUrl', 'projectId', 'serverId'] as const),
  ...(['stateFolder', 'machineClient'] as const),
]

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
