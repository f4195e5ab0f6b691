const ALLOW_HEADERS = [
  'authorization, content-type, accept, last-event-id, mcp-protocol-version, mcp-session-id',
  'mcp-method, mcp-name, traceparent, tracestate, baggage',
].join(', ')
const KNOWN: ReadonlySet<string> = new Set(ALLOW_HEADERS.split(', '))
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

const NAME = /^[a-z0-9!#$%&'*+.^_`|~-]{1,128}$/
const MAX_NAMES = 64

/**
 * Headers of the answer to a preflight. What a page of an allowed origin wants to send is allowed by
 * name: libraries add headers of their own, and none of them reaches a target that we do not let pass.
 */
export function preflightHeaders(
  origin: string | undefined,
  requested: string | undefined,
): HeaderList {
  const names = (requested ?? '')
    .split(',', MAX_NAMES)
    .map((name) => name.trim().toLowerCase())
    .filter((name) => NAME.test(name) && !KNOWN.has(name))
  return [
    ...corsHeaders(origin ?? '*'),
    'access-control-allow-methods',
    'GET, POST, DELETE, OPTIONS',
    'access-control-allow-headers',
    [ALLOW_HEADERS, ...new Set(names)].join(', '),
    'access-control-max-age',
    MAX_AGE_SECONDS,
  ]
}

/** Documents without secrets are open to pages of every origin. */
export const OPEN_TO_ALL: HeaderList = ['access-control-allow-origin', '*']
