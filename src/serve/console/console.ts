import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../util/runtime.js'
import { createHistory } from './history.js'
import { renderConsole, renderSections, type Shown, type ShownSetting } from './page.js'
import type { RecentCalls } from './recent-calls.js'
import { readSamples } from './samples.js'

export interface ConsoleOptions {
  clock: Clock
  /** The metrics of all processes, as Prometheus gets them. */
  metrics: () => Promise<string>
  recent: Pick<RecentCalls, 'calls' | 'failure'>
  /** Those in force. */
  readonly settings: readonly ShownSetting[]
  readonly redact: (text: string) => string
  /** What a reader has to know; nothing on loopback, unless it is configured. */
  token: string | undefined
}

export interface Console {
  /** Answers a request of the console; false leaves it to others. */
  handle(request: IncomingMessage, response: ServerResponse): boolean
  stop(): void
}

/** How often the counters are read. */
const SAMPLE_MS = 5_000

/** How often pages that are open get what has changed. */
const LIVE_MS = 2_000

/** So many pages at most are kept current. */
const MAX_PAGES = 20

const PATHS = new Set(['/', '/events'])

/** Creates the page for operators: what the proxy does now, and did in the last hour. Read-only. */
export function createConsole(options: ConsoleOptions): Console {
  const { clock, recent } = options
  const history = createHistory(clock.now)
  const pages = new Set<ServerResponse>()
  let isStopped = false
  let cancel = (): void => undefined
  let cancelLive = (): void => undefined
  /** The last one alone goes on: pages that come and go while it looks must not begin further ones. */
  let beats = 0

  async function look(): Promise<Shown> {
    const samples = readSamples(await options.metrics())
    history.take(samples)
    const { settings, redact } = options
    return { now: clock.now(), samples, history, recent, settings, redact }
  }

  async function sample(): Promise<void> {
    await look().catch(() => undefined)
    if (!isStopped) cancel = clock.after(SAMPLE_MS, () => void sample())
  }
  void sample()

  /** One look is shared by all pages that are open. */
  async function beat(): Promise<void> {
    const own = ++beats
    const shown = await look().catch(() => undefined)
    if (shown !== undefined) {
      const data = JSON.stringify({ at: shown.now, sections: renderSections(shown) })
      for (const page of pages) {
        // whoever reads slowly misses one
        if (!page.writableNeedDrain) page.write(`data: ${data}\n\n`)
      }
    }
    if (own !== beats || pages.size === 0 || isStopped) return
    cancelLive = clock.after(LIVE_MS, () => void beat())
  }

  function openEvents(response: ServerResponse): void {
    if (pages.size >= MAX_PAGES) {
      response.writeHead(503, { 'retry-after': '30' }).end()
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    pages.add(response)
    response.on('close', () => pages.delete(response))
    if (pages.size === 1) {
      cancelLive()
      void beat()
    }
  }

  function sendPage(response: ServerResponse): void {
    look().then(
      (shown) => {
        const { html, headers } = renderConsole(shown)
        response.writeHead(200, headers).end(html)
      },
      () => response.writeHead(500).end(),
    )
  }

  return {
    handle(request, response) {
      const [path = ''] = (request.url ?? '').split('?', 1)
      if (!PATHS.has(path)) return false
      if (request.method !== 'GET') {
        response.writeHead(405, { allow: 'GET' }).end()
      } else if (!isAllowed(request, options.token)) {
        const challenge = 'Basic realm="console", charset="UTF-8"'
        const body = 'Sign in with any name, and console.token as the password.\n'
        response.writeHead(401, { 'www-authenticate': challenge, 'content-type': 'text/plain' })
        response.end(body)
      } else if (path === '/') sendPage(response)
      else openEvents(response)
      return true
    },
    stop() {
      isStopped = true
      cancel()
      cancelLive()
      for (const page of pages) page.end()
    },
  }
}

const digest = (text: string) => createHash('sha256').update(text).digest()

/**
 * Tells whether a request has the token: as the password of a browser, or as a bearer token.
 *
 * @see [RFC 7617 §2](https://www.rfc-editor.org/rfc/rfc7617#section-2) The Basic Authentication Scheme
 */
function isAllowed({ headers }: IncomingMessage, token: string | undefined): boolean {
  if (token === undefined) return true
  const { authorization = '' } = headers
  const space = authorization.indexOf(' ')
  const scheme = authorization.slice(0, space).toLowerCase()
  const rest = authorization.slice(space + 1).trim()
  const given = scheme === 'basic' ? passwordOf(rest) : scheme === 'bearer' ? rest : ''
  return timingSafeEqual(digest(given), digest(token))
}

function passwordOf(encoded: string): string {
  const pair = Buffer.from(encoded, 'base64').toString('utf8')
  return pair.slice(pair.indexOf(':') + 1)
}
