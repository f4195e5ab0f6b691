import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import type { Situation } from './hostile.js'

/**
 * Answers badly.
 *
 * @returns `false` when the request is to be answered well after all.
 */
type Misbehaviour = (situation: Situation) => boolean | Promise<boolean>

const JSON_TYPE = { 'content-type': 'application/json' }
const SSE_TYPE = { 'content-type': 'text/event-stream' }
const HTML_TYPE = { 'content-type': 'text/html; charset=utf-8' }

const LOGIN_PAGE =
  '<!doctype html><html><head><title>Sign in</title></head><body><form>Password</form></body></html>'
const GATEWAY_PAGE =
  '<html><head><title>502 Bad Gateway</title></head><body>404 Not Found: upstream</body></html>'
const PLAIN_TYPE = { 'content-type': 'text/plain' }

const answer =
  (
    status: number,
    headers: OutgoingHttpHeaders,
    body: string | ((s: Situation) => string | Buffer),
  ) =>
  (situation: Situation) => {
    situation.response.writeHead(status, headers)
    situation.response.end(typeof body === 'string' ? body : body(situation))
    return true
  }

const redirect = (status: number) => (situation: Situation) => {
  situation.response.writeHead(status, { location: `${situation.elsewhere}/elsewhere` }).end()
  return true
}

const good = (situation: Situation) => situation.good

/** Sends headers and some bytes; resolves when they have left. */
function begin(
  response: ServerResponse,
  headers: OutgoingHttpHeaders,
  bytes: string | Buffer = '',
): Promise<void> {
  response.writeHead(200, headers)
  response.flushHeaders()
  return new Promise((resolve) => {
    if (bytes.length === 0) setTimeout(resolve, 20)
    else response.write(bytes, () => setTimeout(resolve, 20))
  })
}

const event = (data: string, id?: string) =>
  `event: message\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`

const progress = JSON.stringify({
  jsonrpc: '2.0',
  method: 'notifications/message',
  params: { level: 'info', data: 'working' },
})

export const MISBEHAVIOURS = {
  // Refusals
  unauthorized: answer(
    401,
    {
      ...JSON_TYPE,
      'www-authenticate':
        'Bearer error="invalid_token", resource_metadata="https://attacker.example/.well-known/x"',
    },
    '{"error":"invalid_token"}',
  ),
  forbidden: answer(403, { 'www-authenticate': 'Bearer error="insufficient_scope"' }, 'no'),
  'not-found': answer(404, PLAIN_TYPE, 'Not Found'),
  'rate-limited': answer(429, { ...PLAIN_TYPE, 'retry-after': '7' }, 'slow down'),
  'server-error': answer(500, PLAIN_TYPE, 'Error: secret-stack-trace at /srv/app.js:1'),
  'bad-gateway-html': answer(502, HTML_TYPE, GATEWAY_PAGE),
  unavailable: answer(503, { 'retry-after': '3' }, ''),
  'error-with-rpc-body': answer(400, JSON_TYPE, ({ id }) =>
    JSON.stringify({ jsonrpc: '2.0', id, error: { code: -32000, message: 'said with a 400' } }),
  ),
  'redirect-301': redirect(301),
  'redirect-302': redirect(302),
  'redirect-303': redirect(303),
  'redirect-307': redirect(307),
  'redirect-308': redirect(308),

  // Connections that break or hang
  'reset-before-headers': ({ response }) => {
    response.socket?.resetAndDestroy()
    return true
  },
  'close-before-headers': ({ response }) => {
    response.destroy()
    return true
  },
  'reset-after-headers': async ({ response }) => {
    await begin(response, JSON_TYPE)
    response.socket?.resetAndDestroy()
    return true
  },
  'hang-before-headers': () => true,
  'hang-after-headers': async ({ response }) => {
    await begin(response, JSON_TYPE)
    return true
  },
  'half-json': async ({ response, good: whole }) => {
    const headers = { ...JSON_TYPE, 'content-length': Buffer.byteLength(whole) }
    await begin(response, headers, whole.slice(0, whole.length / 2))
    response.destroy()
    return true
  },
  'half-chunked-json': async ({ response, good: whole }) => {
    await begin(response, JSON_TYPE, whole.slice(0, whole.length / 2))
    response.destroy()
    return true
  },
  /** Ends cleanly without the response. */
  'half-stream': async ({ response }) => {
    await begin(response, SSE_TYPE, event(progress))
    response.end()
    return true
  },
  'half-stream-with-ids': async ({ response }) => {
    await begin(response, SSE_TYPE, event(progress, 'stream-1'))
    response.end()
    return true
  },
  'cut-stream': async ({ response }) => {
    await begin(response, SSE_TYPE, event(progress))
    response.destroy()
    return true
  },
  'half-event': async ({ response, good: whole }) => {
    await begin(response, SSE_TYPE, `event: message\ndata: ${whole.slice(0, whole.length / 2)}`)
    response.end()
    return true
  },
  /** The whole answer, but the empty line that ends its event never comes. */
  'unfinished-event': async ({ response, good: whole }) => {
    await begin(response, SSE_TYPE, `event: message\ndata: ${whole}\n`)
    response.end()
    return true
  },
  'empty-stream': answer(200, SSE_TYPE, ''),
  'hang-stream': async ({ response }) => {
    await begin(response, SSE_TYPE, event(progress))
    return true
  },
  /** Comments without end, and never an answer. */
  'endless-stream': async ({ response, dripMs }) => {
    await begin(response, SSE_TYPE)
    const timer = setInterval(() => response.write(': still here\n\n'), dripMs)
    response.once('close', () => clearInterval(timer))
    return true
  },

  // Answers that are not what was asked for
  'invalid-json': answer(200, JSON_TYPE, '{"jsonrpc":"2.0","id":1,'),
  'other-shape': answer(200, JSON_TYPE, '{"status":"ok","version":3}'),
  'json-array': answer(200, JSON_TYPE, (situation) => `[${situation.good}]`),
  'json-null': answer(200, JSON_TYPE, 'null'),
  'neither-result-nor-error': answer(200, JSON_TYPE, ({ id }) =>
    JSON.stringify({ jsonrpc: '2.0', id }),
  ),
  'wrong-id': answer(200, JSON_TYPE, ({ good: whole }) =>
    JSON.stringify({ ...JSON.parse(whole), id: 'someone-else' }),
  ),
  'wrong-id-type': answer(200, JSON_TYPE, ({ good: whole, id }) =>
    JSON.stringify({ ...JSON.parse(whole), id: typeof id === 'number' ? String(id) : 1 }),
  ),
  'login-page': answer(200, HTML_TYPE, LOGIN_PAGE),
  'wrong-content-type': answer(200, PLAIN_TYPE, good),
  'missing-content-type': answer(200, {}, good),
  'odd-content-type': answer(200, { 'content-type': 'Application/JSON ; charset="UTF-8"' }, good),
  empty: answer(200, JSON_TYPE, ''),
  'no-content': answer(204, {}, ''),
  accepted: answer(202, {}, ''),
  'null-bytes': answer(200, JSON_TYPE, (situation) => situation.good.replace('honest', 'hon\0est')),
  'invalid-utf8': answer(200, JSON_TYPE, (situation) => {
    const [before = '', after = ''] = situation.good.split('honest')
    return Buffer.concat([Buffer.from(before), Buffer.from([0xff, 0xc3, 0x28]), Buffer.from(after)])
  }),
  'byte-order-mark': answer(200, JSON_TYPE, (situation) => `\ufeff${situation.good}`),
  gzip: answer(200, { ...JSON_TYPE, 'content-encoding': 'gzip' }, (situation) =>
    gzipSync(situation.good),
  ),
  'duplicate-response': answer(200, SSE_TYPE, (situation) => event(situation.good).repeat(2)),
  'response-then-more': answer(
    200,
    SSE_TYPE,
    (situation) => event(situation.good) + event(progress),
  ),
  'foreign-response-first': answer(200, SSE_TYPE, ({ good: whole }) => {
    const foreign = JSON.stringify({ jsonrpc: '2.0', id: 'someone-else', result: {} })
    return event(foreign) + event(whole)
  }),
  'event-not-json': answer(200, SSE_TYPE, (situation) => event('not json') + event(situation.good)),

  // Size and pace
  'huge-headers': answer(200, { ...JSON_TYPE, 'x-huge': 'h'.repeat(256 * 1024) }, good),
  'many-headers': ({ response, good: whole }) => {
    const many = Object.fromEntries(Array.from({ length: 3_000 }, (_, n) => [`x-many-${n}`, 'h']))
    response.writeHead(200, { ...JSON_TYPE, ...many }).end(whole)
    return true
  },
  'set-cookie': answer(
    200,
    { ...JSON_TYPE, 'set-cookie': ['sid=stolen; Path=/', 'other=1'], 'x-powered-by': 'PHP/4' },
    good,
  ),
  'hop-by-hop': answer(
    200,
    {
      ...JSON_TYPE,
      connection: 'keep-alive, x-private',
      'x-private': '1',
      'keep-alive': 'timeout=1',
    },
    good,
  ),
  gigantic: ({ response, id, giganticBytes }) => {
    const chunk = 'x'.repeat(64 * 1024)
    response.writeHead(200, JSON_TYPE)
    response.write(
      `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[{"type":"text","text":"`,
    )
    let left = giganticBytes
    const more = () => {
      while (left > 0 && !response.destroyed) {
        left -= chunk.length
        if (!response.write(chunk)) {
          response.once('drain', more)
          return
        }
      }
      response.end('"}]}}')
    }
    more()
    return true
  },
  'slow-drip': ({ response, good: whole, dripMs }) => {
    const bytes = Buffer.from(whole)
    response.writeHead(200, { ...JSON_TYPE, 'content-length': bytes.length })
    let sent = 0
    const timer = setInterval(() => {
      response.write(bytes.subarray(sent, sent + 1))
      sent += 1
      if (sent < bytes.length) return
      clearInterval(timer)
      response.end()
    }, dripMs)
    response.once('close', () => clearInterval(timer))
    return true
  },
  /** 100, 102 and 103 come before the answer. */
  informational: ({ response, good: whole }) => {
    response.writeContinue()
    response.writeProcessing()
    response.writeEarlyHints({ link: '</style.css>; rel=preload' })
    response.writeHead(200, JSON_TYPE).end(whole)
    return true
  },

  // Keep-alive
  /** Answers one request on a connection and closes it when the next one arrives. */
  'keep-alive-race': ({ response, earlierOnSocket }) => {
    if (earlierOnSocket === 0) return false
    response.socket?.destroy()
    return true
  },
  'keep-alive-race-reset': ({ response, earlierOnSocket }) => {
    if (earlierOnSocket === 0) return false
    response.socket?.resetAndDestroy()
    return true
  },
} satisfies Record<string, Misbehaviour>

export type Mode = keyof typeof MISBEHAVIOURS
