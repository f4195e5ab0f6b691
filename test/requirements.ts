/** A rule of a specification that is kept. Tests name it as `[id]` in front of their title. */
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

  // MCP, authorization of a client
  'mcp-client-prm-order': {
    source: `${AUTHORIZATION}/authorization-server-discovery`,
    text: 'Look for the metadata of a resource where its challenge points to, else at the inserted path, else at the root.',
  },
  'mcp-client-prm-resource': {
    source: `${RFC}/rfc9728#section-3.3`,
    text: 'Refuse metadata that names another resource than the one that was asked.',
  },
  'mcp-client-as-order': {
    source: `${AUTHORIZATION}/authorization-server-discovery`,
    text: 'Look for the metadata of an authorization server at each well-known path, in the order of MCP.',
  },
  'mcp-client-issuer': {
    source: `${RFC}/rfc8414#section-3.3`,
    text: 'Refuse metadata whose issuer is not exactly the one that it was looked up for.',
  },
  'mcp-client-id-order': {
    source: `${AUTHORIZATION}/client-registration`,
    text: 'Be the client that the user gives, else a metadata document, and register only without both.',
  },
  'mcp-client-per-issuer': {
    source: `${AUTHORIZATION}/client-registration`,
    text: 'Take no client and no token along to another authorization server.',
  },
  'mcp-client-resource': {
    source: AUTHORIZATION,
    text: 'Name the resource in every request for a code or a token, whatever the server says of it.',
  },
  'mcp-client-pkce': {
    source: `${AUTHORIZATION}/security-considerations`,
    text: 'Sign in with PKCE and S256 only, and refuse a server that does not announce it.',
  },
  'mcp-client-scope': {
    source: AUTHORIZATION,
    text: 'Ask for the scopes of the challenge, else for those of the metadata, else for none.',
  },
  'mcp-client-https': {
    source: `${AUTHORIZATION}/security-considerations`,
    text: 'Send secrets to an authorization server by https only, but for loopback.',
  },
  'rfc9207-2.4': {
    source: `${RFC}/rfc9207#section-2.4`,
    text: 'Take an authorization response only from the issuer that was asked, an error too.',
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
  'mcp-client-headers': {
    source: MODERN,
    text: 'Send with a stateless request the headers that its body asks for.',
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

/** What the bridge promises its users beyond the specifications. Tests name it in the same way. */
export const PROMISES: Readonly<Record<string, string>> = {
  // sign-in, as the host sees it
  'bridge-answers-at-once': 'Answer the first request of a host within a second, signed in or not.',
  'bridge-shows-sign-in':
    'Show the link or the code to whoever waits for a call, and go on once somebody signed in.',
  'bridge-late-sign-in': 'Serve in the same process after a sign-in that took minutes.',
  'bridge-transparent': 'Add nothing to what the target says while the tokens are good.',
  'bridge-wait-for-login': 'Let a host wait for the sign-in with --wait-for-login.',

  // tabs of the browser
  'bridge-one-tab': 'Open one tab and register once, however many bridges start together.',
  'bridge-tab-budget':
    'Open one tab in ten minutes and three in a day at most until somebody signs in.',
  'bridge-resumes-sign-in':
    'Go on with the sign-in of a bridge that ended, in the same tab and at the same port.',
  'bridge-no-tab': 'Open no tab in CI, without a display or with --no-browser.',

  // tokens
  'bridge-refreshes-early': 'Refresh a token shortly before it expires.',
  'bridge-keeps-refresh-token': 'Keep the refresh token when a refresh brings no new one.',
  'bridge-one-refresh': 'Refresh once for many refusals, across processes too.',
  'bridge-rereads-store':
    'Read the store again before a refresh: another process may have done it.',
  'bridge-stores-before-use': 'Store new tokens before they are used, the whole pair or nothing.',
  'bridge-refresh-trouble':
    'Keep the tokens while a server is in trouble; only a refused refresh token leads to a sign-in.',
  'bridge-offline-access':
    'Ask for offline_access where the server lists it, and say when no refresh token came.',
  'bridge-clock-jump': 'Keep the sign-in when the clock of the machine jumps.',
  'bridge-bound-tokens':
    'Send a token to no other URL, issuer, client or profile than the one it was made for.',

  // the connection to the target
  'bridge-lost-session':
    'Open a lost session again once, and repeat only what is safe to run a second time.',
  'bridge-reopens-stream':
    'Open the stream again after growing pauses or as the target asks, and stop where there is none.',
  'bridge-broken-stream': 'Resume a request whose stream broke, or fail it within seconds.',
  'bridge-silent-target': 'Reach a target anew that left two pings unanswered.',
  'bridge-sleep': 'Connect anew after the machine was asleep.',
  'bridge-target-down':
    'Stay up while the target is down, name the cause, and recover without help.',
  'bridge-one-session': 'Open one session at the target and delete it at the end.',
  'bridge-back-pressure': 'Hold up who sends faster than the other side reads, and lose nothing.',
  'bridge-cookies': 'Send cookies back to the origin that set them, and keep them in memory only.',
  'bridge-client-name': 'Name the bridge in User-Agent, and leave the name of the host as it is.',

  // the end of the process
  'bridge-ends': 'End within seconds of a signal, the end of stdin or the death of the parent.',
  'bridge-leaves-nothing': 'Leave no child process, port or lock behind.',
  'bridge-answers-before-end': 'Answer what was asked before stdin ended, and exit with 0.',
  'bridge-hands-over': 'Hand a sign-in that is under way over to another bridge.',

  // the client at the authorization server, and where it comes back to
  'bridge-keeps-registration':
    'Keep a registration under its issuer, and register anew when it lacks the redirect URI.',
  'bridge-loopback-host':
    'Come back to the loopback address that is announced, and listen only there.',
  'bridge-forgotten-client':
    'Register once more when the server forgot the client, and say what to do.',
  'bridge-busy-port':
    'Take the next port when one is busy, but never instead of the one that the user names.',
  'bridge-binds-first': 'Listen on the port before the browser is started.',
  'bridge-candidate-ports': 'Register every port that may be used.',
  'bridge-callback-port': 'Come back to the port of --callback-port.',
  'bridge-callback-waits':
    'Refuse requests to the callback that do not belong to the sign-in, and wait on.',
  'bridge-callback-page':
    'Show success only after the exchange, every error as text, and let the page keep nothing.',
  'bridge-callback-closes': 'Listen only while a sign-in is under way.',
  'bridge-no-resource': 'Name no resource to a server that refuses it, with --no-resource.',
  'bridge-accounts': 'Keep several accounts of one server apart with --profile.',
  'bridge-step-up':
    'Sign in once more for scopes that are missing, then name them instead of asking again.',

  // a browser that is elsewhere
  'bridge-sign-in-method':
    'Choose browser, code or paste by where the user is and what the server offers.',
  'bridge-url-first': 'Show the URL before a browser is started.',
  'bridge-browser-launch':
    'Start the browser of each platform without a shell, for web addresses only.',
  'bridge-paste':
    'Take the URL that a browser came back to by hand, with its state and issuer checked.',
  'bridge-device-codes':
    'Renew a code that expires, and say what to switch on where none is offered.',

  // the network
  'bridge-proxy': 'Use the proxy of the environment for all traffic but loopback.',
  'bridge-authorities': 'Trust additional authorities from every place that Node users know.',
  'bridge-network-causes':
    'Say one sentence of cause and one command for every failure of the network.',
  'bridge-ipv4-fallback': 'Reach a target by IPv4 when its IPv6 address does not answer.',

  // how it is started
  'bridge-variables': 'Give every flag a variable, so that no argument needs a quote.',
  'bridge-old-node': 'Refuse an old Node in one sentence, to the host too.',
  'bridge-launch-command':
    'Write a command that the host can start: by cmd on Windows, by full paths with --absolute.',
  'bridge-odd-home': 'Work in a home with a space and a letter beyond ASCII.',
  'bridge-strict-flags': 'Take flags in any order, and take no wrong one for a warning.',
  'bridge-no-project-config':
    'Read no configuration of the working directory, and run no code of one.',

  // what it says
  'bridge-tells-host': 'Tell the host by a JSON-RPC error why the bridge cannot start.',
  'bridge-quiet-log': 'Say little on stderr, and keep a log file private and limited.',
  'bridge-only-messages': 'Write nothing but JSON-RPC messages to stdout.',
  'bridge-no-secrets': 'Write no secret to a log at any level.',
  'bridge-says-connected': 'Say that it is connected only after the target answered.',

  // tokens at rest
  'bridge-store-private': 'Keep tokens where only their owner can read them, or refuse to.',
  'bridge-store-keychain': 'Keep only a key in the keychain, and give it no secret as an argument.',
  'bridge-store-place': 'Say where the tokens are, and why there.',
  'bridge-locks': 'Keep locks apart from tokens, and no secret in them.',
  'bridge-store-version': 'Leave the files of a later version alone.',
  'bridge-logout': 'Revoke tokens at the server when signing out, then delete them in any case.',
}
