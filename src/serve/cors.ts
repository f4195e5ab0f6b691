const ALLOW_HEADERS = [
  'authorization, content-type, accept, last-event-id, mcp-protocol-version, mcp-session-id',
  'mcp-method, mcp-name, traceparent, tracestate, baggage',
].join(', ')
const EXPOSE_HEADERS =
  'WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, X-Request-Id'
const MAX_AGE_SECONDS = '86400'

export type HeaderList = readonly string[]

const NONE: HeaderList = []

/** Headers of every answer on the MCP endpoint to a page of an allowed origin. */
export function corsHeaders(origin: string | undefined): HeaderList {
  if (origin === undefined) return NONE
  return [
    'access-control-allow-origin',
    origin,
    'vary',
    'Origin',
    'access-control-expose-headers',
    EXPOSE_HEADERS,
  ]
}

/**
 * Headers of the answer to a preflight. `Mcp-Param-*` have no fixed names, so those that are asked
 * for are allowed by name.
 */
export function preflightHeaders(
  origin: string | undefined,
  requested: string | undefined,
): HeaderList {
  const params = (requested ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => /^mcp-param-[a-z0-9-]{1,100}$/.test(name))
  return [
    ...corsHeaders(origin ?? '*'),
    'access-control-allow-methods',
    'GET, POST, DELETE, OPTIONS',
    'access-control-allow-headers',
    [ALLOW_HEADERS, ...params].join(', '),
    'access-control-max-age',
    MAX_AGE_SECONDS,
  ]
}

/** Documents without secrets are open to pages of every origin. */
export const OPEN_TO_ALL: HeaderList = ['access-control-allow-origin', '*']
