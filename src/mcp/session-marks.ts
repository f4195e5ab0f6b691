/** How the session ids begin that the translation gives out: they name the era of their target. */
export const TRANSLATED_SESSION = 'mcp-2026-07-28.'

/** How the session ids begin that stand for a stream of the older transport in this process. */
export const SSE_SESSION = 'mcp-descope-proxy-sse-'
