import { ProxyError } from '../../util/errors.js'
import { OAuthRefusedError, readRefusal } from './failure.js'
import { type HttpDeps, requireSafeUrl } from './http.js'
import { libraryCall } from './library.js'
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
 * Asks for a device code.
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
  const { oauth, as, client: who, auth, options } = await libraryCall(deps, server, client)
  const response = await oauth.deviceAuthorizationRequest(
    as,
    who,
    auth,
    { ...(scope !== undefined && { scope }), ...(resource !== undefined && { resource }) },
    options,
  )
  const body = await response.text()
  const refusal = readRefusal(response.status, response.headers, body)
  if (refusal !== undefined) {
    throw new OAuthRefusedError('Getting a sign-in code', refusal, { hint: HOW_TO_ENABLE })
  }
  const clean = new Response(body, { headers: { 'content-type': 'application/json' } })
  const codes = await oauth.processDeviceAuthorizationResponse(as, who, clean).catch((cause) => {
    throw new ProxyError('SIGN_IN_FAILED', 'The answer to the code request is no device response', {
      cause,
    })
  })
  const complete = codes.verification_uri_complete
  return {
    deviceCode: codes.device_code,
    userCode: codes.user_code,
    verificationUri: requireSafeUrl(
      codes.verification_uri,
      '"verification_uri"',
      new URL(server.issuer),
    ).href,
    verificationUriComplete:
      complete &&
      requireSafeUrl(complete, '"verification_uri_complete"', new URL(server.issuer)).href,
    expiresIn: codes.expires_in,
    interval: codes.interval ?? 5,
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
