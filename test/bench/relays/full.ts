import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { type Forwarding, requestHeaders, startRelay } from './forward.js'

/** By hand, the least a protecting proxy does: verified-token cache, own credential, renaming. */

const { BENCH_JWKS_URL, BENCH_ISSUER, BENCH_AUDIENCE, BENCH_TARGET_TOKEN } = process.env
const PREFIX = 'target_'

const keys = createRemoteJWKSet(new URL(BENCH_JWKS_URL ?? ''))
const verifiedUntil = new Map<string, number>()

startRelay((request, body) => {
  const token = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
  const hash = createHash('sha256').update(token).digest('base64')
  if ((verifiedUntil.get(hash) ?? 0) > Date.now() / 1000) return prepare(request, body)
  return verify(token, hash).then(() => prepare(request, body))
})

async function verify(token: string, hash: string): Promise<void> {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ['RS256'],
    issuer: BENCH_ISSUER!,
    audience: BENCH_AUDIENCE!,
    requiredClaims: ['exp'],
  })
  verifiedUntil.set(hash, payload.exp!)
}

function prepare(request: IncomingMessage, body: Buffer): Forwarding {
  const headers = requestHeaders(request, ['authorization'])
  headers.push('authorization', `Bearer ${BENCH_TARGET_TOKEN}`)
  if (body.length === 0) return { headers, body: undefined }
  const message = JSON.parse(body.toString())
  if (message.method === 'tools/call' && message.params.name.startsWith(PREFIX)) {
    message.params.name = message.params.name.slice(PREFIX.length)
    return { headers, body: Buffer.from(JSON.stringify(message)) }
  }
  if (message.method === 'tools/list') return { headers, body, rewrite: addPrefixes }
  return { headers, body }
}

function addPrefixes(body: Buffer): Buffer {
  const message = JSON.parse(body.toString())
  for (const tool of message.result.tools) tool.name = PREFIX + tool.name
  return Buffer.from(JSON.stringify(message))
}
