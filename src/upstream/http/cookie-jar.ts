import { BoundedMap } from '../../util/bounded-map.js'
import { isLoopback } from '../../util/private-addresses.js'
import type { Clock } from '../../util/runtime.js'
import { splitOnce } from '../../util/text.js'
import { PassingHandler, type Upstream, type UpstreamHandler } from '../upstream.js'

interface Cookie {
  value: string
  path: string
  /** Milliseconds since the epoch. */
  expiresAt: number
}

/** Cookies of one origin, by which load balancers find the replica of a session. */
export interface CookieJar {
  /** The `Cookie` header for a path of the origin; `undefined` when there is none. */
  header(path: string): string | undefined
  keep(setCookie: string | readonly string[] | undefined): void
}

/** A cookie that is kept with a session: its text, and when it expires in milliseconds since the epoch. */
export type SessionCookie = readonly [text: string, expiresAt: number | null]

const MAX_COOKIES = 20
const MAX_CHARACTERS = 4_096

/** The most characters that are sealed into a session for one target. */
const MAX_SESSION_CHARACTERS = 512

const MAX_SESSION_COOKIES = 8

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
const VALUE = /^"?[!#-+\--:<-[\]-~]*"?$/

/**
 * Creates the cookie jar of one origin, in memory. It drops what no load balancer needs: many cookies,
 * long ones, and names or values that the RFC does not allow.
 *
 * @see [RFC 6265 §4.1.1, §5.1.4](https://www.rfc-editor.org/rfc/rfc6265#section-5)
 */
export function createCookieJar(clock: Pick<Clock, 'now'>): CookieJar {
  const cookies = new BoundedMap<string, Cookie>(MAX_COOKIES)
  return {
    header(path) {
      const now = clock.now()
      const sent = [...cookies].filter(
        ([, cookie]) => cookie.expiresAt > now && isBelow(path, cookie.path),
      )
      return sent.map(([name, { value }]) => `${name}=${value}`).join('; ') || undefined
    },
    keep(setCookie) {
      for (const text of [setCookie ?? []].flat()) {
        const [name = '', cookie] = readCookie(text, clock.now()) ?? []
        if (cookie === undefined) continue
        if (cookie.expiresAt <= clock.now()) cookies.delete(name)
        else cookies.set(name, cookie)
      }
    },
  }
}

/**
 * Reads the cookies that a server sets with a session, as far as they are to come back to its URL.
 * Only a few short ones are kept, because a session id has little room.
 */
export function sessionCookies(
  setCookie: string | readonly string[] | undefined,
  url: URL,
  now: number,
): SessionCookie[] {
  const found = new Map<string, SessionCookie>()
  let characters = 0
  for (const text of [setCookie ?? []].flat()) {
    if (text.length > MAX_CHARACTERS) continue
    const read = readCookie(text, now)
    if (read === undefined) continue
    const [name, { value, path, expiresAt, domain, secure }] = read
    const isSafe = !secure || url.protocol === 'https:' || isLoopback(url.hostname)
    found.delete(name)
    if (expiresAt <= now || !isSafe || !isBelow(url.pathname, path)) continue
    if (domain !== undefined && !isWithin(url.hostname, domain)) continue
    const cookie = `${name}=${value}`
    characters += cookie.length
    if (found.size >= MAX_SESSION_COOKIES || characters > MAX_SESSION_CHARACTERS) break
    found.set(name, [cookie, Number.isFinite(expiresAt) ? expiresAt : null])
  }
  return [...found.values()]
}

/** Writes the `Cookie` header of a session; `undefined` when all of them expired. */
export function cookieHeader(cookies: readonly SessionCookie[], now: number): string | undefined {
  const sent = cookies.filter(([, expiresAt]) => expiresAt === null || expiresAt > now)
  return sent.map(([text]) => text).join('; ') || undefined
}

/** @see [RFC 6265 §5.1.3](https://www.rfc-editor.org/rfc/rfc6265#section-5.1.3) */
function isWithin(host: string, domain: string): boolean {
  return host === domain || (host.endsWith(`.${domain}`) && !/^[\d.]+$/.test(host))
}

function readCookie(text: string, now: number): [name: string, CookieSet] | undefined {
  const [pair, attributes = ''] = splitOnce(text, ';')
  const [name, value] = readPair(pair)
  if (value === undefined || name.length + value.length > MAX_CHARACTERS) return undefined
  if (!NAME.test(name) || !VALUE.test(value)) return undefined
  return [name, { value, ...readAttributes(attributes, now) }]
}

type CookieSet = Cookie & Attributes

interface Attributes extends Omit<Cookie, 'value'> {
  domain: string | undefined
  secure: boolean
}

function readAttributes(text: string, now: number): Attributes {
  let path = '/'
  let domain: string | undefined
  let secure = false
  let expires: number | undefined
  let maxAge: number | undefined
  for (const part of text.split(';')) {
    const [name, value = ''] = readPair(part)
    const lower = name.toLowerCase()
    if (lower === 'secure') secure = true
    if (lower === 'domain' && value !== '') domain = value.replace(/^\./, '').toLowerCase()
    if (lower === 'path' && value.startsWith('/')) path = value
    if (lower === 'max-age' && /^-?\d{1,10}$/.test(value)) maxAge = now + Number(value) * 1_000
    if (lower === 'expires') expires = Date.parse(value)
  }
  const end = maxAge ?? expires
  return {
    ...{ path, domain, secure },
    expiresAt: end === undefined || Number.isNaN(end) ? Number.POSITIVE_INFINITY : end,
  }
}

function readPair(text: string): [name: string, value: string | undefined] {
  const [name, value] = splitOnce(text, '=')
  return [name.trim(), value?.trim()]
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`)
}

/** Sends cookies back to their origin, behind those of a configured `Cookie` header. */
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
