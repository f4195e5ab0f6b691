import { foldName } from '../util/fold.js'

/**
 * What clients send to servers, in every version of MCP and in its own extensions.
 *
 * @see [MCP 2025-11-25, schema](https://modelcontextprotocol.io/specification/2025-11-25/schema)
 * @see [MCP 2026-07-28, schema](https://modelcontextprotocol.io/specification/2026-07-28/schema)
 */
const CLIENT_METHODS: ReadonlySet<string> = new Set([
  ...['initialize', 'ping', 'server/discover', 'subscriptions/listen', 'logging/setLevel'],
  ...['tools/list', 'tools/call', 'prompts/list', 'prompts/get', 'completion/complete'],
  ...['resources/list', 'resources/templates/list', 'resources/read'],
  ...['resources/subscribe', 'resources/unsubscribe'],
  ...['tasks/get', 'tasks/result', 'tasks/update', 'tasks/cancel', 'tasks/list'],
  ...['notifications/initialized', 'notifications/cancelled', 'notifications/progress'],
  ...['notifications/roots/list_changed', 'notifications/message'],
  ...['notifications/tasks', 'notifications/tasks/status', 'notifications/elicitation/complete'],
])
const FOLDED: ReadonlySet<string> = new Set([...CLIENT_METHODS].map(lettersOf))

/** Tells whether a method is one of MCP, exactly as it is written. */
export function isKnownMethod(method: string): boolean {
  return CLIENT_METHODS.has(method)
}

/** Tells whether a lenient server may take a method for one of MCP that it is not. */
export function looksKnown(method: string): boolean {
  return !CLIENT_METHODS.has(method) && FOLDED.has(lettersOf(method))
}

/** Separators are nothing to a reader that takes paths apart its own way. */
function lettersOf(method: string): string {
  return foldName(method).replace(/[^a-z]/g, '')
}
