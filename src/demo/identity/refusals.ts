const GENERIC = 'E011003'

/**
 * Every refusal of the emulator, in both error shapes.
 *
 * Observed at Descope: the codes E011003 (its generic "Request is invalid"), E061005, E063302 (with
 * its 404), E063316 (without `errorDescription`) and E074130, and the shape. The other statuses are
 * the emulator's choice, and so is E011003 wherever Descope's code is not known. Answers of the
 * HTTP layer (no route, wrong method, too large) have no code.
 */
const REFUSALS = {
  unknown_client: [401, 'E074130', 'Invalid client id', 401, 'invalid_client'],
  bad_secret: [401, 'E074130', 'Invalid client credentials', 401, 'invalid_client'],
  invalid_metadata: [401, 'E074130', 'Invalid client metadata', 401, 'invalid_client'],
  invalid_request: [400, 'E074130', 'Invalid request', 400, 'invalid_request'],
  invalid_scope: [400, GENERIC, 'Invalid scope', 400, 'invalid_scope'],
  invalid_target: [400, 'E074130', 'Invalid resource', 400, 'invalid_target'],
  invalid_redirect_uri: [400, 'E074130', 'Invalid redirect URI', 400, 'invalid_redirect_uri'],
  invalid_registration: [400, 'E074130', 'Invalid metadata', 400, 'invalid_client_metadata'],
  invalid_grant: [401, 'E061005', 'Invalid token', 400, 'invalid_grant'],
  invalid_token: [401, 'E061005', 'Invalid token', 401, 'invalid_token'],
  invalid_dpop_proof: [400, GENERIC, 'Invalid DPoP proof', 400, 'invalid_dpop_proof'],
  use_dpop_nonce: [400, GENERIC, 'The DPoP proof needs a nonce', 400, 'use_dpop_nonce'],
  consent_gone: [404, 'E063302', 'Cannot find consent by id', 400, 'invalid_grant'],
  not_associated: [
    403,
    'E063316',
    'Application is not associated with this MCP server',
    400,
    'unauthorized_client',
  ],
  no_delegation_401: [401, GENERIC, 'No policy allows this exchange', 401, 'invalid_client'],
  no_delegation_403: [403, GENERIC, 'No policy allows this exchange', 403, 'access_denied'],
  unauthorized_client: [400, 'E074130', 'Grant is not allowed', 400, 'unauthorized_client'],
  unsupported_grant: [400, 'E074130', 'Unsupported grant type', 400, 'unsupported_grant_type'],
  unsupported_response: [
    400,
    'E074130',
    'Unsupported response type',
    400,
    'unsupported_response_type',
  ],
  device_off: [
    400,
    'E074130',
    'Device flow settings disabled for this project',
    400,
    'invalid_request',
  ],
  registration_off: [403, GENERIC, 'Dynamic client registration is disabled', 403, 'access_denied'],
  userinfo_gone: [404, GENERIC, 'Third party application not found', 404, 'invalid_request'],
  insufficient_scope: [403, GENERIC, 'The token lacks a scope', 403, 'insufficient_scope'],
  forbidden: [403, GENERIC, 'Not allowed by policy', 403, 'access_denied'],
  not_connected: [404, GENERIC, 'Not found', 404, 'not_found'],
  not_found: [404, undefined, 'Not found', 404, 'not_found'],
  method: [405, undefined, 'Method not allowed', 405, 'invalid_request'],
  too_large: [413, undefined, 'Request is too large', 413, 'invalid_request'],
} as const satisfies Record<string, readonly [number, string | undefined, string, number, string]>

export type EmulatorRefusalKind = keyof typeof REFUSALS

/** Thrown by a handler to answer with an error. It never leaves the emulator. */
export class EmulatorRefusal extends Error {
  readonly kind: EmulatorRefusalKind

  constructor(kind: EmulatorRefusalKind, message: string) {
    super(message)
    this.name = 'Refusal'
    this.kind = kind
  }

  /** The `error` that OAuth has for it. */
  get oauthError(): string {
    return REFUSALS[this.kind][4]
  }

  /** Descope's code for it; `undefined` where it is no refusal of Descope's. */
  get errorCode(): string | undefined {
    return REFUSALS[this.kind][1]
  }
}

/** Makes a refusal; without `message`, in the words that go with its kind. */
export function refusal(
  kind: EmulatorRefusalKind,
  message: string = REFUSALS[kind][2],
): EmulatorRefusal {
  return new EmulatorRefusal(kind, message)
}

/** RFC 9449 §8: clients look for these in `error`, whatever the style. Descope's shape is unknown. */
const ALWAYS_OAUTH: ReadonlySet<EmulatorRefusalKind> = new Set([
  'invalid_dpop_proof',
  'use_dpop_nonce',
])

/** Renders a refusal as status and JSON body. */
export function renderRefusal(error: EmulatorRefusal, style: 'descope' | 'oauth') {
  const [descopeStatus, errorCode, , oauthStatus, oauthError] = REFUSALS[error.kind]
  if (style === 'oauth') {
    return {
      status: oauthStatus,
      body: { error: oauthError, error_description: describe(error.message) },
    }
  }
  const isShort = error.kind === 'consent_gone' || error.kind === 'not_associated'
  const errorDescription = isShort ? undefined : 'Request is invalid'
  const body = { errorCode, errorDescription, errorMessage: error.message }
  const always = ALWAYS_OAUTH.has(error.kind) && {
    error: oauthError,
    error_description: describe(error.message),
  }
  return { status: descopeStatus, body: { ...body, ...always } }
}

/**
 * Keeps to the characters that `error_description` may hold.
 *
 * @see [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)
 */
export function describe(message: string): string {
  return message.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, '?')
}
