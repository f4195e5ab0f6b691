/** How the session ids begin that the translation gives out: they name the era of their target. */
export const SESSION_MARK = 'mcp-2026-07-28.'
