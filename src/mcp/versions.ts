/** Versions with `initialize`, newest first. */
export const LEGACY_VERSIONS = ['2025-11-25', '2025-06-18', '2025-03-26'] as const

/** The first version without `initialize` and sessions. */
export const MODERN_VERSION = '2026-07-28'

/** Requests that {@link MODERN_VERSION} has no more. */
export const REMOVED_METHODS: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'logging/setLevel',
  'resources/subscribe',
  'resources/unsubscribe',
  'tasks/list',
  'tasks/result',
])

/** Returns the version that a client asked for when we speak it, else our newest legacy one. */
export function negotiateVersion(requested: unknown): string {
  return LEGACY_VERSIONS.find((version) => version === requested) ?? LEGACY_VERSIONS[0]
}

/** Returns the older of two versions. */
export function olderVersion(a: string, b: string): string {
  return a < b ? a : b
}
