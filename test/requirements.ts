/** A rule of a specification that `serve` keeps. Tests name it as `[id]` in front of their title. */
export interface Requirement {
  readonly source: string
  readonly text: string
}

const SPEC = 'https://modelcontextprotocol.io/specification'
const AUTHORIZATION = `${SPEC}/2026-07-28/basic/authorization`
const LEGACY = `${SPEC}/2025-11-25/basic/transports#streamable-http`
const MODERN = `${SPEC}/2026-07-28/basic/transports/streamable-http`
const STDIO = `${SPEC}/2025-11-25/basic/transports#stdio`
const SECURITY = `${SPEC}/2025-11-25/basic/security_best_practices`
const RFC = 'https://www.rfc-editor.org/rfc'

export const REQUIREMENTS: Readonly<Record<string, Requirement>> = {
  // MCP, authorization of a protected resource server
  'mcp-authz-r1': {
    source: AUTHORIZATION,
    text: 'Serve protected resource metadata that names at least one authorization server.',
  },
  'mcp-authz-r2': {
    source: AUTHORIZATION,
    text: 'Announce the metadata with resource_metadata in the challenge of a 401.',
  },
  'mcp-authz-r3': {
    source: AUTHORIZATION,
    text: 'Serve the metadata at the well-known path with the path of the endpoint, and at the root.',
  },
  'mcp-authz-r4': {
    source: AUTHORIZATION,
    text: 'Name the scopes to ask for in the challenge of a 401.',
  },
  'mcp-authz-r5': {
    source: AUTHORIZATION,
    text: 'Answer 401 to a missing, invalid or expired token.',
  },
  'mcp-authz-r6': {
    source: AUTHORIZATION,
    text: 'Name all scopes of the operation in one insufficient_scope challenge with 403.',
  },
  'mcp-authz-r8': {
    source: AUTHORIZATION,
    text: 'Accept only tokens whose audience is this server.',
  },
  'mcp-authz-r9': {
    source: AUTHORIZATION,
    text: 'Never pass the token of the client on; a target gets a credential of its own.',
  },
  'mcp-authz-r10': {
    source: AUTHORIZATION,
    text: 'Take the token from the Authorization header of every request, never from the query.',
  },
  'mcp-authz-r11': {
    source: SECURITY,
    text: 'Bind sessions to the user; a session is no authentication.',
  },
  'mcp-authz-r12': {
    source: AUTHORIZATION,
    text: 'Keep offline_access out of challenges and of scopes_supported.',
  },
  'mcp-authz-r13': {
    source: AUTHORIZATION,
    text: 'Advertise the scopes that basic use needs, not the whole catalogue.',
  },
  'mcp-authz-r14': {
    source: `${SPEC}/2026-07-28/server/tools`,
    text: 'Vary the list of tools by authorization, never by connection.',
  },

  // MCP, transports
  'mcp-lifecycle-version': {
    source: `${SPEC}/2025-11-25/basic/lifecycle#version-negotiation`,
    text: 'Answer initialize with the version that was asked for when it is spoken, else another.',
  },
  'mcp-origin': {
    source: LEGACY,
    text: 'Validate Origin and answer 403 when it is present and not allowed.',
  },
  'mcp-dns-rebinding': {
    source: LEGACY,
    text: 'Let no foreign host name reach a server that listens on loopback.',
  },
  'mcp-notification-202': {
    source: LEGACY,
    text: 'Answer an accepted notification or response with 202 and no body.',
  },
  'mcp-session-id-charset': {
    source: LEGACY,
    text: 'Write session ids in visible ASCII characters, unguessable.',
  },
  'mcp-session-404': {
    source: LEGACY,
    text: 'Answer 404 to a session that has ended, so that the client starts anew.',
  },
  'mcp-version-header': {
    source: LEGACY,
    text: 'Answer 400 to an invalid or unsupported MCP-Protocol-Version.',
  },
  'mcp-session-delete': {
    source: LEGACY,
    text: 'End a session on DELETE.',
  },
  'mcp-get-405': {
    source: LEGACY,
    text: 'Answer GET with an event stream or with 405.',
  },
  'mcp-resume': {
    source: LEGACY,
    text: 'Resume a stream behind Last-Event-ID.',
  },

  'mcp-conformance-server': {
    source: 'https://github.com/modelcontextprotocol/conformance#testing-servers',
    text: 'Let the official suite find the same through the proxy as at the server itself.',
  },
  'mcp-conformance-client': {
    source: 'https://github.com/modelcontextprotocol/conformance#testing-clients',
    text: 'Pass the scenarios of the official suite that a revision scores for clients.',
  },

  // MCP, rules for an intermediary that reads and renames
  'mcp-era-by-body': {
    source: `${SPEC}/2026-07-28/basic/versioning`,
    text: 'Decide the era of each request by the envelope in its body.',
  },
  'mcp-offer-era': {
    source: `${SPEC}/2026-07-28/basic/versioning#backward-compatibility-with-initialization-based-versions`,
    text: 'Offer the stateless era while all targets speak it; else name the versions that are spoken.',
  },
  'mcp-initialize-always': {
    source: `${SPEC}/2026-07-28/basic/versioning#compatibility-matrix`,
    text: 'Answer initialize also after server/discover was answered.',
  },
  'mcp-merge-modern': {
    source: `${SPEC}/2026-07-28/server/discover`,
    text: 'Say of several targets together what each of them can do, and list what each of them has.',
  },
  'mcp-merge-subscriptions': {
    source: `${SPEC}/2026-07-28/basic/patterns/subscriptions`,
    text: 'Acknowledge a subscription once, before all else, and tag everything on it with its id.',
  },
  'mcp-input-required': {
    source: `${SPEC}/2026-07-28/basic/patterns/mrtr`,
    text: 'Pass questions, requestState and inputResponses on as they are.',
  },
  'mcp-expose-uris': {
    source: `${SPEC}/2026-07-28/server/resources`,
    text: 'Name a resource alike in lists, reads, subscriptions, results and notifications.',
  },
  'mcp-task-ids': {
    source: 'https://modelcontextprotocol.io/seps/2663-tasks-extension',
    text: 'Ask for a task at the server that made it, by its id in body and Mcp-Name.',
  },
  'mcp-relay-errors': {
    source: MODERN,
    text: 'Pass the protocol errors of a target on with their status, code and data.',
  },
  'mcp-header-equals-body': {
    source: MODERN,
    text: 'Refuse a modern request whose headers are missing or differ from its body.',
  },
  'mcp-modern-removed-methods': {
    source: `${SPEC}/2026-07-28/changelog`,
    text: 'Answer 404 and -32601 to a modern request for a method that only older revisions have.',
  },
  'mcp-header-encoding': {
    source: MODERN,
    text: 'Write header values that are not plain in the Base64 sentinel.',
  },
  'mcp-rename-consistently': {
    source: MODERN,
    text: 'Rename a tool in the body, in Mcp-Name and in lists alike.',
  },
  'mcp-rename-lists': {
    source: `${SPEC}/2026-07-28/server/tools`,
    text: 'Keep order, schemas and unknown members of entries whose names change.',
  },
  'mcp-name-format': {
    source: `${SPEC}/2026-07-28/server/tools#tool-names`,
    text: 'Keep names within the allowed characters and length, and unique.',
  },
  'mcp-private-cache': {
    source: `${SPEC}/2026-07-28/server/utilities/caching`,
    text: 'Mark a list that depends on the caller as private.',
  },
  'mcp-sse-untouched': {
    source: LEGACY,
    text: 'Pass ids, retry, comments and priming events of a stream on, event by event.',
  },
  'mcp-disconnect': {
    source: MODERN,
    text: 'Give a request up at the target when its client leaves.',
  },
  'mcp-target-down-in-band': {
    source: `${SPEC}/2025-11-25/basic#responses`,
    text: 'Answer for a target that fails with a JSON-RPC error under the id of the request.',
  },
  'mcp-discover-never-5xx': {
    source: `${SPEC}/2026-07-28/server/discover`,
    text: 'Never answer server/discover with a 5xx: clients could not fall back.',
  },
  'jsonrpc-object': {
    source: 'https://www.jsonrpc.org/specification#request_object',
    text: 'Refuse what is not one JSON-RPC 2.0 message.',
  },

  // MCP, older clients of servers that speak only 2026-07-28
  'mcp-translate-initialize': {
    source: `${SPEC}/2026-07-28/server/discover`,
    text: 'Answer initialize from what server/discover says.',
  },
  'mcp-translate-envelope': {
    source: `${SPEC}/2026-07-28/basic/index#meta`,
    text: 'Send version, client and capabilities with every translated request, and change nothing else.',
  },
  'mcp-translate-params': {
    source: `${MODERN}#client-behavior`,
    text: 'Repeat annotated arguments in Mcp-Param headers; when refused, read the tools and try again once.',
  },
  'mcp-translate-invalid-tools': {
    source: `${MODERN}#schema-extension`,
    text: 'Leave tools with invalid header annotations out of lists.',
  },
  'mcp-translate-input': {
    source: `${SPEC}/2026-07-28/basic/patterns/mrtr`,
    text: 'Ask the client what a server needs, and repeat the request with the answers and the exact state.',
  },
  'mcp-translate-logging': {
    source: `${SPEC}/2026-07-28/server/utilities/logging`,
    text: 'Ask for logs of the level that the client set, and for none before.',
  },
  'mcp-translate-cancel': {
    source: `${SPEC}/2026-07-28/basic/patterns/cancellation`,
    text: 'Close the request at the server when its client cancels it.',
  },
  'mcp-translate-disconnect': {
    source: LEGACY,
    text: 'Take a lost connection of an older client for no cancellation of its tool call.',
  },
  'mcp-translate-listen': {
    source: `${SPEC}/2026-07-28/basic/patterns/subscriptions`,
    text: 'Listen for what a client subscribed to, and for changed lists, while its stream is open.',
  },
  'mcp-translate-results': {
    source: `${SPEC}/2026-07-28/changelog`,
    text: 'Send older clients structure only where it is the object that they know.',
  },
  'mcp-translate-replicas': {
    source: `${SPEC}/2025-11-25/basic/transports#session-management`,
    text: 'Serve a translated session at every replica, and say so where an answer comes to the wrong one.',
  },
  'mcp-translate-mixed': {
    source: `${SPEC}/2026-07-28/basic/versioning`,
    text: 'Serve targets of both eras to one older client.',
  },
  'mcp-translate-dual': {
    source: `${SPEC}/2026-07-28/basic/versioning`,
    text: 'Translate nothing for a target that speaks an older version itself.',
  },
  'mcp-translate-change': {
    source: `${SPEC}/2026-07-28/basic/versioning`,
    text: 'Find out anew what a target speaks when it does not answer as before.',
  },

  // OAuth
  'rfc6750-2.1': {
    source: `${RFC}/rfc6750#section-2.1`,
    text: 'Take a bearer token from the Authorization header, whatever the case of the scheme.',
  },
  'mcp-stdio-process': {
    source: STDIO,
    text: 'Start the server as a process of its own and speak with it one message a line.',
  },
  'mcp-stdio-shutdown': {
    source: `${SPEC}/2025-11-25/basic/lifecycle#shutdown`,
    text: 'End a server by closing its stdin, then by SIGTERM, then by SIGKILL.',
  },
  'mcp-stdio-output': {
    source: STDIO,
    text: 'Let a server on stdio write anything to stderr, and only messages to stdout.',
  },
  'mcp-http-sse-fallback': {
    source: `${SPEC}/2025-11-25/basic/transports#backwards-compatibility`,
    text: 'Speak HTTP+SSE with a server that takes no POST of initialize.',
  },
  'mcp-http-sse-origin': {
    source: `${SPEC}/2024-11-05/basic/transports#http-with-sse`,
    text: 'Post only to an endpoint at the origin of its HTTP+SSE stream.',
  },
  'mcp-cancel': {
    source: `${SPEC}/2025-11-25/basic/utilities/cancellation`,
    text: 'Pass a cancellation on under the id that the server knows, and take no disconnect for one.',
  },
  'mcp-progress-token': {
    source: `${SPEC}/2025-11-25/basic/utilities/progress`,
    text: 'Give progress to the request whose token it carries, under that token.',
  },
  'rfc6750-3': {
    source: `${RFC}/rfc6750#section-3`,
    text: 'Write the challenge in characters that a quoted string may have.',
  },
  'rfc6750-3.1': {
    source: `${RFC}/rfc6750#section-3.1`,
    text: 'Name an error in the challenge only when a token was sent.',
  },
  'rfc9728-2': {
    source: `${RFC}/rfc9728#section-2`,
    text: 'Leave members without values out of the metadata.',
  },
  'rfc9728-3.1': {
    source: `${RFC}/rfc9728#section-3.1`,
    text: 'Insert the well-known path between host and path of the resource.',
  },
  'rfc9728-3.3': {
    source: `${RFC}/rfc9728#section-3.3`,
    text: 'Name the resource in its metadata exactly as clients address it.',
  },
}
