import { z } from 'zod'

/** A list of stringList. */
export const stringList = z.array(z.string())

export const projectIdSchema = z.string().regex(/^P[A-Za-z0-9]{27,31}$/)

export const serverIdSchema = z.string().regex(/^(MS|RS)[A-Za-z0-9]{27}$/)

const members = z.record(z.string(), z.unknown())

/** The one user, who is signed in at the emulator already. */
export const userSchema = z.strictObject({
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
export const clientSchema = z.strictObject({
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

export const accessKeySchema = z.strictObject({
  key: z.string().min(1),
  keyId: z.string().default('K2demoAccessKeyOfEmulator000'),
  claims: members.default({}),
})

/** A Connection (*outbound app*) to which users or tenants may connect. */
export const outboundAppSchema = z.strictObject({
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
export const relationSchema = z.strictObject({
  resource: z.string(),
  resourceType: z.string(),
  relation: z.string(),
  target: z.string(),
  targetType: z.string().default('user'),
})

/** An answer that goes wrong. */
export const failureSchema = z.strictObject({
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
