import { createBackoff, parseRetryAfter, sleep } from '../../util/async.js'
import { ProxyError, type ProxyErrorOptions } from '../../util/errors.js'
import { isTransient, mayGrantLater, type OAuthRefusalKind } from '../../util/failure.js'
import { isObject, textMember, tryParseJson } from '../../util/json.js'
import type { Clock } from '../../util/runtime.js'

/** An error answer in OAuth's shape (RFC 6749 §5.2) or in Descope's own. */
export interface OAuthRefusal {
  readonly kind: OAuthRefusalKind
  /** `error`, or Descope's `errorCode`. */
  readonly code: string
  readonly description: string | undefined
  readonly status: number
  /** The header of the answer. */
  readonly retryAfter: string | null
  /**
   * A 4xx without a reason that we understand. It is tried again a few times and no more, as the
   * server may mean that the grant is gone.
   */
  readonly isUnclear?: boolean
}

/** An authorization server refused, or could not answer. */
export class OAuthRefusedError extends ProxyError {
  readonly refusal: OAuthRefusal

  constructor(doing: string, refusal: OAuthRefusal, options: ProxyErrorOptions = {}) {
    const said =
      refusal.description === undefined ? '' : ` (${JSON.stringify(refusal.description)})`
    super(
      mayGrantLater(refusal.kind) ? 'ISSUER_UNREACHABLE' : 'SIGN_IN_FAILED',
      `${doing} failed: the authorization server answered ${JSON.stringify(refusal.code)}${said}`,
      options,
    )
    this.refusal = refusal
  }
}

/** A failure that may pass by itself. The tokens are kept; the caller may try again later. */
export class RetryableError extends ProxyError {
  readonly retryable = true
  /** The header of the answer, if there was one. */
  readonly retryAfter: string | null

  constructor(message: string, options: ProxyErrorOptions & { retryAfter?: string | null } = {}) {
    super('ISSUER_UNREACHABLE', message, options)
    this.retryAfter = options.retryAfter ?? null
  }
}

/** Tells whether an error may pass by itself. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof OAuthRefusedError) return mayGrantLater(error.refusal.kind)
  return error instanceof RetryableError
}

/** Tells whether the server does not know our client (any more). */
export function isUnknownClient(error: unknown): boolean {
  return error instanceof OAuthRefusedError && error.refusal.kind === 'client'
}

/** Descope's codes: E063302 consent gone, E061005 token invalid or expired. */
const GRANT_CODES = new Set(['invalid_grant', 'E063302', 'E061005', 'expired_token'])

const CLIENT_CODES = new Set(['invalid_client', 'unauthorized_client'])

const TRANSIENT_CODES = new Set(['temporarily_unavailable', 'server_error'])

const POLL_CODES = new Set(['authorization_pending', 'slow_down'])

/**
 * Reads an answer of a token, device, registration or revocation endpoint as a refusal, or returns
 * `undefined` when it is none. The body decides before the status: an answer with status 200 and an
 * `error` is a refusal.
 *
 * @param body The answer's text.
 * @see [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2)
 */
export function readRefusal(
  status: number,
  headers: Headers,
  body: string,
): OAuthRefusal | undefined {
  const said = readOAuthError(tryParseJson(body))
  if (said === undefined && status >= 200 && status < 300) return undefined
  const description = said?.description?.slice(0, 300)
  return {
    kind: kindOf(status, said?.code, description),
    code: said?.code.slice(0, 100) ?? `HTTP ${status}`,
    description,
    status,
    retryAfter: headers.get('retry-after'),
    // 407 comes from a proxy on the way
    isUnclear: said === undefined && status >= 400 && !isTransient(status) && status !== 407,
  }
}

function kindOf(
  status: number,
  code: string | undefined,
  description: string | undefined,
): OAuthRefusalKind {
  if (code !== undefined) {
    if (POLL_CODES.has(code)) return 'poll'
    if (TRANSIENT_CODES.has(code)) return 'transient'
    if (GRANT_CODES.has(code)) return 'grant'
    if (CLIENT_CODES.has(code)) return 'client'
    // Descope's E074130 "Request is invalid" covers more than the client; its text tells.
    if (code === 'E074130' && /client/i.test(description ?? '')) return 'client'
  }
  // Not an OAuth answer at all, such as a proxy's HTML page, says nothing about our tokens.
  if (isTransient(status) || code === undefined) return 'transient'
  return 'refused'
}

const ATTEMPTS = 3

const FIRST_PAUSE_MS = 500

/** When a server demands a longer pause, nothing is tried again here, and the error is thrown. */
const LONGEST_PAUSE_MS = 2_000

/** Tries again, after a growing pause with jitter, what failed in a way that may pass. */
export async function withRetries<T>(
  { clock }: { clock: Clock },
  task: () => Promise<T>,
  isWorthIt: (error: unknown) => boolean = isRetryable,
): Promise<T> {
  const backoff = createBackoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, Math.random)
  for (let attempt = 1; ; attempt++) {
    try {
      return await task()
    } catch (error) {
      const requested = pauseRequestedBy(error, clock.now())
      if (!isWorthIt(error) || attempt === ATTEMPTS || requested > LONGEST_PAUSE_MS) throw error
      await sleep(clock, Math.max(requested, backoff.next()))
    }
  }
}

/**
 * Returns the pause that the server requested (`Retry-After`), milliseconds; 0 when it requested none.
 *
 * @param now Milliseconds since the epoch.
 */
export function pauseRequestedBy(error: unknown, now: number): number {
  const { retryAfter } =
    error instanceof OAuthRefusedError
      ? error.refusal
      : error instanceof RetryableError
        ? error
        : { retryAfter: null }
  return parseRetryAfter(retryAfter, now) ?? 0
}

/**
 * Reads an error body in OAuth's form (`error`, `error_description`) or in Descope's own
 * (`errorCode`, `errorDescription`, `errorMessage`), or returns `undefined` when it is neither.
 *
 * @see [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2) Error Response
 */
function readOAuthError(body: unknown): Pick<OAuthRefusal, 'code' | 'description'> | undefined {
  if (!isObject(body)) return undefined
  const error = textMember(body, 'error')
  if (error !== undefined) {
    const description = textMember(body, 'error_description') ?? textMember(body, 'description')
    return { code: error, description }
  }
  const code = textMember(body, 'errorCode')
  if (code === undefined) return undefined
  const description =
    textMember(body, 'errorMessage') ??
    textMember(body, 'message') ??
    textMember(body, 'errorDescription')
  return { code, description }
}

/** Renders an error body for a message, its text quoted and shortened; `''` when it is none. */
export function describeOAuthError(body: unknown): string {
  const { code, description } = readOAuthError(body) ?? {}
  return [code, description].flatMap((text) => (text === undefined ? [] : [quote(text)])).join(' ')
}

const quote = (text: string) => JSON.stringify(text.slice(0, 200))
