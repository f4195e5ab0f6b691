import { ERROR_CODES, type WireError } from './jsonrpc.js'

/** Versions with `initialize`, newest first. */
export const SESSION_BASED_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'] as const

const SESSION_VERSIONS: ReadonlySet<string> = new Set([
  ...SESSION_BASED_VERSIONS,
  // a target's session may have these, though we do not negotiate them
  ...['2024-11-05', '2024-10-07'],
])

/** The first version without `initialize` and sessions. */
export const STATELESS_VERSION = '2026-07-28'

/** Requests that {@link STATELESS_VERSION} removed. */
export const REMOVED_METHODS: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'tasks/list',
  'tasks/result',
])

/** Returns the version that a client requested when we speak it, else our newest session-based one. */
export function negotiateVersion(requested: unknown): string {
  return (
    SESSION_BASED_VERSIONS.find((version) => version === requested) ?? SESSION_BASED_VERSIONS[0]
  )
}

/** Tells whether a version is one of those with `initialize`. */
export function isSessionBasedVersion(version: string): boolean {
  return SESSION_VERSIONS.has(version)
}

/** Returns the older of two versions. */
export function olderVersion(a: string, b: string): string {
  return a < b ? a : b
}

/**
 * Makes the error by which a server of the versions before 2026-07-28 refuses a request of that
 * version: it does not know the method. `-32022` would say that the server knows the stateless
 * protocol, and clients that hear it never try `initialize`.
 *
 * @param method What the request requested.
 * @see [MCP 2026-07-28, versioning](https://modelcontextprotocol.io/specification/2026-07-28/basic/versioning)
 */
export function sessionBasedOnly(method: string): WireError {
  const message = `Method not found: ${method.slice(0, 60)} of 2026-07-28; this server speaks ${SESSION_BASED_VERSIONS.join(', ')}: send "initialize" first`
  return { code: ERROR_CODES.methodNotFound, message }
}
