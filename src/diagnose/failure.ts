import { OAuthRefusedError } from '../auth/oauth/failure.js'
import { type NetworkFailure, networkHint } from '../upstream/upstream-error.js'
import { type ErrorCode, messageOf, ProxyError } from '../util/errors.js'
import { ownMember } from '../util/json.js'
import { type FailureCode, fail, type Verdict } from './check.js'

const BY_CAUSE = {
  unreachable: 'Check host, port and network: `curl -v <url>`.',
  timeout: 'Look whether the server is busy or stuck, or allow more with `--timeout <seconds>`.',
  cut_off:
    'Look into the log of the server, and check whether the port takes http or https: `curl -v <url>`.',
  invalid_answer: 'Check whether the port speaks HTTP, and http or https: `curl -v <url>`.',
  http_status: 'Look into the log of the server.',
  session_lost: 'Look into the log of the server.',
  session_required: 'Look into the log of the server.',
} as const

/** Makes a verdict of a request that the network failed. */
export function explainFailure(failure: NetworkFailure, what = ''): Verdict {
  const { cause, reason } = failure
  const detail = what === '' ? reason : `${what}: ${reason}`
  const code = cause === 'invalid_answer' ? 'PROTOCOL_INVALID' : 'TARGET_UNREACHABLE'
  return fail(detail, networkHint(reason) ?? BY_CAUSE[cause], code)
}

/** By the code of an authorization server's refusal: OAuth's, and Descope's own. */
const REFUSAL_HINTS: Readonly<Record<string, string>> = {
  E063316:
    'In Descope, give the client access: Agentic Identity Hub > Policies, for this MCP server.',
  E061005: 'Check the client secret, or sign in again.',
  invalid_client: 'Check MCP_DESCOPE_CLIENT_ID and MCP_DESCOPE_CLIENT_SECRET.',
  unauthorized_client:
    'Allow the client the grant "client_credentials", and in Descope give it a Policy for this MCP server.',
  unsupported_grant_type: 'Use a client that may use client credentials, or MCP_DESCOPE_TOKEN.',
  E011003: 'Ask for scopes that the MCP server has: `--scope "<scopes>"`.',
  invalid_scope: 'Ask for scopes that the MCP server has: `--scope "<scopes>"`.',
  invalid_target:
    'In Descope, set the MCP Server URL of the MCP server to the URL of this target, to the letter.',
}

const CODES: Readonly<Partial<Record<ErrorCode, FailureCode>>> = {
  SIGN_IN_REQUIRED: 'SIGN_IN_REQUIRED',
  SIGN_IN_FAILED: 'SIGN_IN_REQUIRED',
  CREDENTIAL_REFUSED: 'CREDENTIAL_REFUSED',
  ISSUER_UNREACHABLE: 'ISSUER_UNREACHABLE',
  TARGET_UNREACHABLE: 'TARGET_UNREACHABLE',
}

/** Makes a verdict of anything that was thrown in a check. */
export function toVerdict(error: unknown): Verdict {
  if (error instanceof OAuthRefusedError) {
    const { code, description, kind } = error.refusal
    // Descope gives some of its codes in the text of an OAuth error only
    const known = ownMember(REFUSAL_HINTS, /\bE\d{6}\b/.exec(description ?? '')?.[0] ?? code)
    const said = description ?? ''
    const byText = /not associated with this mcp server/i.test(said)
      ? REFUSAL_HINTS['E063316']
      : code === 'E074130' && /\bresource\b|not this mcp server/i.test(said)
        ? REFUSAL_HINTS['invalid_target']
        : undefined
    const byKind = kind === 'client' ? REFUSAL_HINTS['invalid_client'] : undefined
    const hint = byText ?? known ?? byKind
    return fail(error.message, hint || error.hint || LOG_OF_ISSUER, codeOf(error))
  }
  if (error instanceof ProxyError) {
    return fail(error.message, error.hint || LOG_OF_ISSUER, codeOf(error))
  }
  return fail(`the check itself failed: ${messageOf(error)}`, 'Report this as a mistake of ours.')
}

const LOG_OF_ISSUER = 'Look into the log of the authorization server.'

function codeOf({ code }: ProxyError): FailureCode {
  return CODES[code] ?? 'CHECK_FAILED'
}
