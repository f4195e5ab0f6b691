import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isLoopback } from '../../util/private-addresses.js'

/** Why a request is not let in. */
export interface Refusal {
  status: number
  message: string
  headers: Record<string, string>
}

/**
 * Decides whether a request may come in: the token when one is needed, and on loopback the Host and
 * Origin, so that no web page can reach the server through DNS rebinding.
 *
 * @param token Expected as `Authorization: Bearer …` or `X-Api-Key`; `undefined` lets everybody in.
 * @returns What to answer instead, or `undefined` when the request is fine.
 */
export function refusalOf(
  request: Pick<IncomingMessage, 'headers'>,
  { token, onLoopback }: { token: string | undefined; onLoopback: boolean },
): Refusal | undefined {
  const { host = '', origin } = request.headers
  if (onLoopback && !isLoopbackHost(host)) {
    return { status: 421, message: 'This server answers to loopback names only', headers: {} }
  }
  if (origin !== undefined && !isLoopbackOrigin(origin)) {
    return { status: 403, message: 'Requests from this origin are not allowed', headers: {} }
  }
  if (token === undefined || sentTokens(request).some((sent) => isSame(sent, token))) {
    return undefined
  }
  const reason = sentTokens(request).length === 0 ? '' : ', error="invalid_token"'
  const headers = { 'www-authenticate': `Bearer realm="example target"${reason}` }
  return { status: 401, message: 'This server needs its API token', headers }
}

function isLoopbackHost(host: string): boolean {
  return isLoopback(host.replace(/:\d+$/, ''))
}

function isLoopbackOrigin(origin: string): boolean {
  return URL.canParse(origin) && isLoopback(new URL(origin).hostname)
}

function sentTokens({ headers }: Pick<IncomingMessage, 'headers'>): string[] {
  const bearer = /^bearer +(\S.*)$/i.exec(headers.authorization ?? '')?.[1]
  const key = headers['x-api-key']
  return [bearer, typeof key === 'string' ? key : undefined].filter((sent) => sent !== undefined)
}

/** Takes the same time wherever the two differ. */
function isSame(sent: string, expected: string): boolean {
  return timingSafeEqual(digest(sent), digest(expected))
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
