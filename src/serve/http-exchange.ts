import type { IncomingMessage, ServerResponse } from 'node:http'
import { challengeFor } from '../auth/challenge.js'
import type { Caller } from '../auth/credential.js'
import type { Exchange } from '../gateway/exchange.js'
import type { HeaderList } from './cors.js'
import { HttpReply } from './http-reply.js'

export interface HttpExchangeOptions {
  streams: Set<HttpReply>
  challenge: () => { resourceMetadata: string }
}

const FORWARDED_ELSEWHERE = new Set([
  'mcp-session-id',
  'mcp-protocol-version',
  'mcp-method',
  'mcp-name',
])

/** One HTTP request on its way through the gateway. */
export class HttpExchange implements Exchange {
  readonly request: IncomingMessage
  readonly reply: HttpReply
  readonly record: Exchange['record']
  caller: Caller = { principal: undefined, accessToken: undefined }
  refusal: string | undefined

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    headers: HeaderList,
    { streams, challenge }: HttpExchangeOptions,
  ) {
    this.request = request
    this.record = {
      method: request.method ?? '',
      tool: undefined,
      target: undefined,
      failure: undefined,
    }
    this.reply = new HttpReply(response, {
      headers,
      streams,
      isIdle: request.method === 'GET',
      challenge: (scopes) => insufficientScope(scopes, challenge().resourceMetadata),
    })
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name]
    return Array.isArray(value) ? value[0] : value
  }

  extraHeaders(): string[] {
    const extra: string[] = []
    for (const [name, value] of Object.entries(this.request.headers)) {
      if (!name.startsWith('mcp-') || FORWARDED_ELSEWHERE.has(name)) continue
      if (typeof value === 'string') extra.push(name, value)
    }
    return extra
  }
}

function insufficientScope(scopes: readonly string[], resourceMetadata: string): string {
  const error = {
    reason: 'insufficient_scope',
    status: 403,
    message: 'The access token lacks scopes that this call needs',
    scopes,
  } as const
  return challengeFor(error, { resourceMetadata }) ?? ''
}
