import type { ServerResponse } from 'node:http'
import type { RecordedRequest } from './record.js'
import { type RecordingOptions, type RecordingTarget, startRecordingTarget } from './recording.js'

export interface ProtectedTarget extends RecordingTarget {
  /** Issuer that its metadata names; may be set after the start. */
  issuer: string
  scopes: string[]
  /** Tokens that are refused although they look right. */
  readonly refused: Set<string>
  /** What to challenge with besides the address of the metadata. */
  challenge: string
  /** Sees each request that carries a token; `true` means that it took care of the answer itself. */
  guard: (request: RecordedRequest, token: string, refuse: () => void) => boolean | Promise<boolean>
}

/** Gives the token of a request. */
export function tokenOf({ headers }: RecordedRequest): string | undefined {
  return /^Bearer (.+)$/.exec(headers.authorization ?? '')?.[1]
}

/** Starts an MCP server that is protected as MCP says, and takes every token but the refused ones. */
export async function startProtectedTarget(
  issuer = '',
  options: RecordingOptions = {},
): Promise<ProtectedTarget> {
  const recording = await startRecordingTarget(options)
  const origin = new URL(recording.url).origin
  const metadataUrl = `${origin}/.well-known/oauth-protected-resource/mcp`
  const target: ProtectedTarget = Object.assign(recording, {
    issuer,
    scopes: [] as string[],
    refused: new Set<string>(),
    challenge: '',
    guard: () => false,
  })
  const refuse = (response: ServerResponse) => {
    const more = target.challenge === '' ? '' : `, ${target.challenge}`
    const challenge = `Bearer resource_metadata="${metadataUrl}"${more}`
    response.writeHead(401, { 'www-authenticate': challenge }).end()
  }
  recording.intercept(async (request, response) => {
    if (request.url.startsWith('/.well-known/oauth-protected-resource')) {
      const metadata = {
        resource: recording.url,
        authorization_servers: [target.issuer],
        ...(target.scopes.length > 0 && { scopes_supported: target.scopes }),
      }
      response.setHeader('content-type', 'application/json').end(JSON.stringify(metadata))
      return true
    }
    const token = tokenOf(request)
    if (token === undefined || target.refused.has(token)) {
      refuse(response)
      return true
    }
    return await target.guard(request, token, () => refuse(response))
  })
  return target
}
