import { ProxyError } from '../../util/errors.js'
import { isObject, positiveMember, textMember, tryParseJson } from '../../util/json.js'
import { libraryCall } from './client.js'
import { OAuthRefusedError, readRefusal } from './failure.js'
import { type HttpDeps, requireSafeUrl } from './http.js'
import type { GrantRequest } from './token-endpoint.js'

/** The codes of a device sign-in (RFC 8628 §3.2). */
export interface DeviceCodes {
  readonly deviceCode: string
  readonly userCode: string
  readonly verificationUri: string
  /** The same page with the code filled in; where absent, the user types it. */
  readonly verificationUriComplete: string | undefined
  /** Seconds from now. */
  readonly expiresIn: number
  /** Seconds between two polls. */
  readonly interval: number
}

/**
 * Requests a device code.
 *
 * @throws {ProxyError} `SIGN_IN_FAILED` when the server offers none, or refused.
 * @throws {RetryableError} when there was no answer.
 * @see [RFC 8628 §3.1](https://www.rfc-editor.org/rfc/rfc8628#section-3.1)
 */
export async function requestDeviceCodes(
  deps: HttpDeps,
  { server, client, resource, scope }: GrantRequest & { scope: string | undefined },
): Promise<DeviceCodes> {
  if (server.deviceAuthorizationEndpoint === undefined) throw deviceNotOffered(server.issuer)
  const { oauth, parties, options } = await libraryCall(deps, server, client)
  const [as, who, auth] = parties
  const isInHeader = client.authMethod === 'client_secret_basic' && client.secret !== undefined
  const response = await oauth.deviceAuthorizationRequest(
    as,
    who,
    (...call) => {
      // The library always names the client in the body; beside the header, servers refuse that.
      if (isInHeader) call[2].delete('client_id')
      return auth(...call)
    },
    { ...(scope !== undefined && { scope }), ...(resource !== undefined && { resource }) },
    options,
  )
  const body = await response.text()
  const refusal = readRefusal(response.status, response.headers, body)
  if (refusal !== undefined) {
    throw new OAuthRefusedError('Getting a sign-in code', refusal, { hint: HOW_TO_ENABLE })
  }
  return readCodes(deps, body, new URL(server.issuer))
}

/** Narrows the answer. Optional members that are `null` or empty count as absent. */
function readCodes(deps: HttpDeps, body: string, issuer: URL): DeviceCodes {
  const json = tryParseJson(body)
  const codes = isObject(json) ? json : {}
  const deviceCode = textMember(codes, 'device_code')
  const userCode = textMember(codes, 'user_code')
  const uri = textMember(codes, 'verification_uri')
  const complete = textMember(codes, 'verification_uri_complete')
  const expiresIn = positiveMember(codes, 'expires_in')
  if (!deviceCode || !userCode || !uri || !expiresIn) {
    throw new ProxyError('SIGN_IN_FAILED', 'The answer to the code request is no device response')
  }
  const safe = (text: string, member: string) =>
    requireSafeUrl(deps, text, JSON.stringify(member), issuer).href
  return {
    deviceCode,
    userCode,
    verificationUri: safe(uri, 'verification_uri'),
    verificationUriComplete: complete && safe(complete, 'verification_uri_complete'),
    expiresIn,
    interval: positiveMember(codes, 'interval') ?? 5, // RFC 8628 §3.2
  }
}

const HOW_TO_ENABLE =
  'In the Descope console, switch on Settings > Authentication Methods > Device Authentication.'

/** The error for a server that offers no device flow, with the switch that enables it. */
export function deviceNotOffered(issuer: string): ProxyError {
  return new ProxyError('SIGN_IN_FAILED', `${issuer} does not offer sign-in with a code`, {
    hint: HOW_TO_ENABLE,
  })
}
