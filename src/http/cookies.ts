import type { Clock } from '../util/runtime.js'
import { PassingHandler } from './passing-handler.js'
import type { Upstream, UpstreamHandler } from './pool.js'

interface Cookie {
  value: string
  path: string
  /** Milliseconds since the epoch. */
  expiresAt: number
}

/** What one origin wants to have sent back, as load balancers do to find a session again. */
export interface CookieJar {
  /** The `Cookie` header for a path of the origin; `undefined` when there is none. */
  header(path: string): string | undefined
  keep(setCookie: string | readonly string[] | undefined): void
}

const MAX_COOKIES = 20
const MAX_CHARACTERS = 4_096
const COOKIE = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*("?[!#-+\--:<-[\]-~]*"?)\s*(?:;(.*))?$/

/**
 * Creates the cookies of one origin. They are in memory only, and what is more than a balancer needs
 * is dropped: many cookies, long ones, and names or values that the RFC does not allow.
 *
 * @see [RFC 6265 §4.1.1, §5.1.4](https://www.rfc-editor.org/rfc/rfc6265#section-5)
 */
export function createCookieJar(clock: Pick<Clock, 'now'>): CookieJar {
  const cookies = new Map<string, Cookie>()
  const keepOne = (text: string) => {
    const [, name, value = '', attributes = ''] = COOKIE.exec(text) ?? []
    if (name === undefined || name.length + value.length > MAX_CHARACTERS) return
    const cookie = { value, ...readAttributes(attributes, clock.now()) }
    cookies.delete(name)
    if (cookie.expiresAt <= clock.now()) return
    cookies.set(name, cookie)
    const [oldest] = cookies.keys()
    if (cookies.size > MAX_COOKIES && oldest !== undefined) cookies.delete(oldest)
  }
  return {
    header(path) {
      const now = clock.now()
      const sent = [...cookies].filter(
        ([, cookie]) => cookie.expiresAt > now && isBelow(path, cookie.path),
      )
      return sent.length === 0
        ? undefined
        : sent.map(([name, { value }]) => `${name}=${value}`).join('; ')
    },
    keep(setCookie) {
      for (const text of typeof setCookie === 'string' ? [setCookie] : (setCookie ?? []))
        keepOne(text)
    },
  }
}

function readAttributes(text: string, now: number): Omit<Cookie, 'value'> {
  let path = '/'
  let expires: number | undefined
  let maxAge: number | undefined
  for (const part of text.split(';')) {
    const [, name = '', value = ''] = /^\s*([^=\s]+)\s*=\s*(.*?)\s*$/.exec(part) ?? []
    const lower = name.toLowerCase()
    if (lower === 'path' && value.startsWith('/')) path = value
    if (lower === 'max-age' && /^-?\d{1,10}$/.test(value)) maxAge = now + Number(value) * 1_000
    if (lower === 'expires') expires = Date.parse(value)
  }
  const end = maxAge ?? expires
  return {
    path,
    expiresAt: end === undefined || Number.isNaN(end) ? Number.POSITIVE_INFINITY : end,
  }
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`)
}

/** Sends back to an origin what it set. A `Cookie` header of the user comes first. */
export function withCookies(upstream: Upstream, url: URL, jar: CookieJar): Upstream {
  return {
    send(request, handler) {
      const cookie = jar.header(url.pathname)
      const headers = cookie === undefined ? request.headers : addCookie(request.headers, cookie)
      upstream.send({ ...request, headers }, new CookieHandler(handler, jar))
    },
    close: () => upstream.close(),
  }
}

function addCookie(headers: readonly string[], cookie: string): string[] {
  const all = headers.slice()
  const at = all.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'cookie')
  if (at < 0) all.push('cookie', cookie)
  else all[at + 1] = `${all[at + 1]}; ${cookie}`
  return all
}

/** Passes everything on, and keeps the cookies. */
class CookieHandler extends PassingHandler {
  readonly #jar: CookieJar

  constructor(handler: UpstreamHandler, jar: CookieJar) {
    super(handler)
    this.#jar = jar
  }

  override onResponseStart(...args: Parameters<PassingHandler['onResponseStart']>): void {
    const [, , headers] = args
    this.#jar.keep(headers['set-cookie'])
    super.onResponseStart(...args)
  }
}
