import { ProxyError } from '../../util/errors.js'
import { isObject, ownMember } from '../../util/json.js'
import type { CredentialHeaders, TargetCredential } from './credential.js'

/** Names that belong to the connection or to MCP, not to a credential. */
const RESERVED =
  /^(host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|content-.*|accept|mcp-.*|last-event-id)$/

/** Creates the credential of a target that requires none. */
export function noCredential(): TargetCredential {
  return { ...constant({}), isNone: true }
}

/**
 * Creates the credential of a target that takes one token from everybody.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when the token cannot stand in a header.
 */
export function bearerCredential(token: string): TargetCredential {
  if (!/^[!-~]+$/.test(token))
    throw invalid('The bearer token is empty or not ASCII without spaces')
  const endsAt = endOfToken(token)
  const validity = endsAt === undefined ? undefined : () => ({ endsAt, isRenewed: false })
  return { ...constant({ authorization: `Bearer ${token}` }), validity }
}

/** Reads when a token ends, if it is a JWT that says so; milliseconds since the epoch. */
function endOfToken(token: string): number | undefined {
  const [, payload = ''] = token.split('.', 2)
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
    const end = isObject(claims) ? ownMember(claims, 'exp') : undefined
    return typeof end === 'number' ? end * 1000 : undefined
  } catch {
    return undefined
  }
}

/**
 * Creates the credential of a target that takes one value in a header of its own.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when name or value cannot stand in a header.
 */
export function headerCredential(name: string, value: string): TargetCredential {
  const lower = credentialHeaderName(name)
  if (!isHeaderValue(value)) {
    throw invalid(`The value of the header ${JSON.stringify(name)} is empty or not printable ASCII`)
  }
  return constant({ [lower]: value })
}

/**
 * Returns the name of a header that may carry a credential, in lower case.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when it may not.
 */
export function credentialHeaderName(name: string): string {
  const lower = name.toLowerCase()
  if (!/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(lower) || RESERVED.test(lower)) {
    throw invalid(`A header named ${JSON.stringify(name)} cannot carry a credential`)
  }
  return lower
}

/** Tells whether a text is one line of printable ASCII without spaces around it. */
export function isHeaderValue(text: string): boolean {
  return /^[!-~]([ -~]*[!-~])?$/.test(text)
}

/** The headers never change, so a refusal is final. */
function constant(headers: CredentialHeaders): TargetCredential {
  const frozen = Object.freeze(headers)
  return { headers: () => frozen, refused: () => false }
}

/** Makes the error for a configured value that a header cannot hold, without repeating the value. */
export function invalid(what: string): ProxyError {
  return new ProxyError('CONFIG_INVALID', what, {
    hint: 'Check for line breaks, spaces and quotes around the value.',
  })
}

/** Adds fixed headers to those of a credential; the credential's own ones win. */
export function withHeaders(
  credential: TargetCredential,
  headers: readonly (readonly [string, string])[],
): TargetCredential {
  const fixed = Object.fromEntries(headers)
  const join = (own: CredentialHeaders) => ({ ...fixed, ...own })
  return {
    ...(credential.perCaller !== undefined && { perCaller: credential.perCaller }),
    ...(credential.connect !== undefined && { connect: credential.connect }),
    ...(credential.validity !== undefined && { validity: credential.validity }),
    headers(caller) {
      const own = credential.headers(caller)
      return own instanceof Promise ? own.then(join) : join(own)
    },
    refused: (caller, refusal) => credential.refused(caller, refusal),
  }
}
