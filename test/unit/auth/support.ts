import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { onTestFinished } from 'vitest'
import type { JsonObject } from '../../../src/util/json.js'
import type { LogFields, Logger } from '../../../src/util/logger.js'
import type { Clock } from '../../../src/util/runtime.js'

export const PROJECT = `P${'2abcdefgh'.repeat(3)}`
export const OTHER_PROJECT = `P${'3zyxwvuts'.repeat(3)}`
export const SERVER = `MS${'2abcdefgh'.repeat(3)}`
export const OTHER_SERVER = `MS${'3zyxwvuts'.repeat(3)}`
export const START = Date.parse('2026-11-22T12:00:00Z')

export interface TestClock extends Clock {
  /** Moves time and calls back whatever is due on the way. */
  advance(ms: number): void
  readonly waiting: number
}

export function createTestClock(start = START): TestClock {
  let now = start
  const timers = new Set<{ at: number; callback: () => void }>()
  return {
    now: () => now,
    after(ms, callback) {
      const timer = { at: now + ms, callback }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    advance(ms) {
      const end = now + ms
      for (;;) {
        const due = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (!due) break
        timers.delete(due)
        now = Math.max(now, due.at)
        due.callback()
      }
      now = end
    },
    get waiting() {
      return timers.size
    },
  }
}

export interface LogRecord {
  level: string
  event: string
  message: string
  fields: LogFields
}

export function createTestLogger(): Logger & { records: LogRecord[]; events(): string[] } {
  const records: LogRecord[] = []
  const write =
    (level: string) =>
    (event: string, message: string, fields: LogFields = {}) => {
      records.push({ level, event, message, fields })
    }
  return {
    prepare: (level, event, message, fields) => (id, ms) => {
      write(level)(event, message, { id, ...fields, ms })
    },
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    enabled: () => true,
    records,
    events: () => records.map(({ event }) => event),
  }
}

export type Handler = (
  request: IncomingMessage & { text: string },
  response: ServerResponse,
) => void | Promise<void>

/** A real server on loopback that ends with the test. */
export async function listen(handler: Handler, port = 0) {
  const requests: { method: string; path: string; headers: IncomingMessage['headers'] }[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    requests.push({ method: request.method ?? '', path, headers: request.headers })
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8')
      void handler(Object.assign(request, { text }), response)
    })
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  onTestFinished(close)
  const bound = (server.address() as AddressInfo).port
  return { base: `http://127.0.0.1:${bound}`, port: bound, requests, close }
}

export function sendJson(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

export interface SigningKey {
  kid: string
  privateKey: CryptoKey
  jwk: JWK
}

export async function createSigningKey(kid = `key-${Math.random()}`): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
  const jwk = { ...(await exportJWK(publicKey)), alg: 'RS256', use: 'sig', kid }
  return { kid, privateKey, jwk }
}

export function accessClaims(base: string, overrides: JsonObject = {}): JsonObject {
  const now = START / 1000
  return {
    iss: `${base}/v1/apps/${PROJECT}`,
    aud: ['client', PROJECT, 'https://proxy.example.com/mcp'],
    sub: 'U2user',
    azp: 'client',
    scope: 'mcp:use',
    drn: 'DS',
    iat: now,
    exp: now + 600,
    ...overrides,
  }
}

/** Signs claims; a claim or header member that is `undefined` is left out. */
export function signToken(
  key: Pick<SigningKey, 'privateKey' | 'kid'>,
  claims: JsonObject,
  header: JsonObject = {},
): Promise<string> {
  const present = JSON.parse(JSON.stringify({ alg: 'RS256', kid: key.kid, typ: 'JWT', ...header }))
  return new SignJWT(claims).setProtectedHeader(present).sign(key.privateKey, {
    crit: Object.fromEntries(((header['crit'] as string[]) ?? []).map((name) => [name, true])),
  })
}

/** A discovery document as Descope sends it, at `base`. */
export function discoveryDocument(base: string, overrides: JsonObject = {}): JsonObject {
  const agentic = `${base}/oauth2/v1/apps/agentic/${PROJECT}/${SERVER}`
  return {
    issuer: `${base}/v1/apps/agentic/${PROJECT}/${SERVER}`,
    authorization_endpoint: `${agentic}/authorize`,
    token_endpoint: `${agentic}/token`,
    registration_endpoint: `${base}/v1/mgmt/mcp/client/${PROJECT}/${SERVER}/register`,
    jwks_uri: `${base}/${PROJECT}/.well-known/jwks.json`,
    scopes_supported: ['mcp:use', 'offline_access'],
    ...overrides,
  }
}

export const AGENTIC_PATH = `/v1/apps/agentic/${PROJECT}/${SERVER}`
export const OPENID_PATH = `${AGENTIC_PATH}/.well-known/openid-configuration`
export const OAUTH_PATH = `${AGENTIC_PATH}/.well-known/oauth-authorization-server`
export const JWKS_PATH = `/${PROJECT}/.well-known/jwks.json`

/** Waits until real I/O made something true. */
export async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 5_000
  while (!condition()) {
    if (Date.now() > end) throw new Error('The condition did not come true within 5 s')
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
