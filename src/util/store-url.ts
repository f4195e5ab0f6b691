import { percentDecode } from './text.js'

/** Where a Valkey or Redis server is, and how to log in there. */
export interface StoreAddress {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  readonly username: string | undefined
  readonly password: string | undefined
  /** Number of the database. */
  readonly db: number
}

const DEFAULT_PORT = 6379

const SCHEMES: ReadonlySet<string> = new Set(['redis:', 'rediss:', 'valkey:', 'valkeys:'])

/** Returns the end of a sentence that begins with the setting's name; it repeats nothing of the URL. */
export function storeUrlProblem(text: string): string | undefined {
  const scheme = /^[a-z]+:/.exec(text)?.[0] ?? ''
  if (!SCHEMES.has(scheme)) return 'is no redis:// or rediss:// URL'
  if (!URL.canParse(text) || new URL(text).hostname === '') {
    return 'names no host, or no port up to 65535; a password has %40 for @, %3A for :, %2F for /'
  }
  const { pathname, search, hash, username, password } = new URL(text)
  if (search !== '' || hash !== '') return 'has a query or a fragment, which mean nothing here'
  if (!/^(\/\d{0,4})?$/.test(pathname)) return 'has a path that is no number of a database'
  if (percentDecode(username) === undefined || percentDecode(password) === undefined) {
    return 'has a user name or password with a % that begins no %XX; write it as %25'
  }
  return undefined
}

/** Reads a URL without a {@link storeUrlProblem}. */
export function parseStoreUrl(text: string): StoreAddress {
  const { protocol, hostname, port, username, password, pathname } = new URL(text)
  return {
    host: hostname.replace(/^\[(.*)\]$/, '$1'),
    port: port === '' ? DEFAULT_PORT : Number(port),
    isTls: protocol === 'rediss:' || protocol === 'valkeys:',
    username: percentDecode(username) || undefined,
    password: percentDecode(password) || undefined,
    db: Number(pathname.slice(1)),
  }
}
