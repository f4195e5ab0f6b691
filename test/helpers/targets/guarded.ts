import type { ServerResponse } from 'node:http'
import type { Identity } from '../../../src/demo/identity/index.js'
import type { JsonObject } from '../../../src/util/json.js'
import type { RecordedRequest } from './record.js'
import { type RecordingOptions, type RecordingTarget, startRecordingTarget } from './recording.js'

export interface Guard {
  /** The `WWW-Authenticate` of a refusal; `undefined` sends none. */
  challenge?: ((origin: string) => string) | undefined
  /** Status of a refusal. Default 401. */
  status?: number
  /** Status of a refusal of a token that is there. Default `status`. */
  badTokenStatus?: number
  /** The metadata; `undefined` answers 404. */
  metadata?: ((url: string, issuer: string, path: string) => JsonObject | undefined) | undefined
  /** Accepts no token at all. */
  acceptsNone?: boolean
  /** Which tokens are good. Default: those that the emulator issued. */
  accepts?: (token: string) => boolean
}

const DEFAULTS = {
  challenge: (origin: string) =>
    `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`,
  metadata: (resource: string, issuer: string) => ({ resource, authorization_servers: [issuer] }),
}

/** Starts a server behind the emulator that keeps the rules, or breaks those that `guard` says. */
export async function startGuardedTarget(
  identity: Identity,
  guard: Guard = {},
  options: RecordingOptions = {},
): Promise<RecordingTarget> {
  const { status = 401, badTokenStatus = status, acceptsNone = false } = guard
  const challenge = 'challenge' in guard ? guard.challenge : DEFAULTS.challenge
  const metadata = 'metadata' in guard ? guard.metadata : DEFAULTS.metadata
  const accepts = guard.accepts ?? ((token: string) => identity.issuedSecrets().includes(token))
  const target = await startRecordingTarget(options)
  const intercept = (request: RecordedRequest, response: ServerResponse) => {
    if (request.url.startsWith('/.well-known/')) {
      const document = metadata?.(target.url, identity.issuer, request.url)
      if (document === undefined) response.writeHead(404).end()
      else response.setHeader('content-type', 'application/json').end(JSON.stringify(document))
      return true
    }
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined ? acceptsNone : accepts(token)) return false
    const header = challenge?.(target.origin)
    response.writeHead(token === undefined ? status : badTokenStatus, {
      ...(header !== undefined && { 'www-authenticate': header }),
    })
    response.end()
    return true
  }
  target.intercept(intercept)
  return target
}
