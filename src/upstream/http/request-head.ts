import type { UpstreamRequest } from '../upstream.js'
import { codedError } from '../upstream-error.js'

/** Names that we write ourselves, in lower case, so that they need no look. */
const OURS: ReadonlySet<string> = new Set([
  ...['user-agent', 'accept-encoding', 'content-type', 'accept', 'mcp-protocol-version'],
  ...['mcp-session-id', 'x-request-id', 'cookie', 'traceparent', 'tracestate', 'baggage'],
  ...['authorization', 'mcp-method', 'mcp-name', 'last-event-id'],
])

/** Where a request ends, and what becomes of its connection, is said by us alone. */
const NOT_OURS_TO_PASS: ReadonlySet<string> = new Set([
  ...['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'expect', 'te'],
  ...['trailer', 'host', 'proxy-connection'],
])

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/

/** A line break would begin another field, or another request. */
const BAD_VALUE = /[^\t\x20-\x7e\x80-\xff]/

const BAD_PATH = /[^\x21-\x7e]/

/**
 * Makes what writes the heads of requests to a URL. What is the same in all of them is written once.
 *
 * @returns A function that writes a head for a body of so many bytes. It throws an error with the code
 *   `ERR_INVALID_CHAR` or `ERR_INVALID_HTTP_TOKEN`, and sends nothing then, where a name or a value is
 *   none of HTTP.
 * @see [RFC 9112 §3, §5](https://www.rfc-editor.org/rfc/rfc9112#section-3)
 */
export function createHeadWriter(url: URL): (request: UpstreamRequest, bytes: number) => string {
  const ownPath = url.pathname + url.search
  const common = `host: ${url.host}\r\nconnection: keep-alive\r\n`
  const login = loginOf(url)
  const begin = (method: string, path: string) => `${method} ${path} HTTP/1.1\r\n${common}`
  const post = begin('POST', ownPath)
  return ({ method, path, headers, body }, bytes) => {
    if (path !== undefined && (path === '' || BAD_PATH.test(path))) throw badCharacter('the path')
    let head = method === 'POST' && path === undefined ? post : begin(method, path ?? ownPath)
    let isLoginDue = login !== undefined
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i] as string
      const value = headers[i + 1] as string
      if (!OURS.has(name)) checkName(name)
      if (BAD_VALUE.test(value)) throw badCharacter(`header "${name}"`)
      if (isLoginDue && name.toLowerCase() === 'authorization') isLoginDue = false
      head += `${name}: ${value}\r\n`
    }
    if (isLoginDue) head += `authorization: ${login}\r\n`
    // a POST without a body says so (RFC 9110 §8.6)
    if (body !== undefined || method === 'POST') head += `content-length: ${bytes}\r\n`
    return `${head}\r\n`
  }
}

function checkName(name: string): void {
  if (!TOKEN.test(name)) {
    throw codedError('ERR_INVALID_HTTP_TOKEN', `Header name must be a valid HTTP token ["${name}"]`)
  }
  if (NOT_OURS_TO_PASS.has(name.toLowerCase())) {
    throw codedError('ERR_INVALID_HTTP_TOKEN', `Header "${name}" is not for others to set`)
  }
}

function badCharacter(where: string): Error {
  return codedError('ERR_INVALID_CHAR', `Invalid character in ${where}`)
}

/** The user and password of a URL, as every HTTP client sends them. */
function loginOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined
  const user = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return `Basic ${Buffer.from(user).toString('base64')}`
}
