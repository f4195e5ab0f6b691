import { isObject, textMember } from '../../util/json.js'

/** What an authorization server said when it refused; both members are its free text. */
export interface OAuthError {
  /** OAuth's `error` or Descope's `errorCode`. */
  readonly code: string
  readonly description: string | undefined
}

/**
 * Reads an error body in OAuth's form (`error`, `error_description`) or in Descope's own
 * (`errorCode`, `errorDescription`, `errorMessage`), or returns `undefined` when it is neither.
 *
 * @see [RFC 6749 §5.2](https://www.rfc-editor.org/rfc/rfc6749#section-5.2) Error Response
 */
export function readOAuthError(body: unknown): OAuthError | undefined {
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
  const error = readOAuthError(body)
  if (!error) return ''
  return error.description === undefined
    ? quote(error.code)
    : `${quote(error.code)} ${quote(error.description)}`
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200))
}
