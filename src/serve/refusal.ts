import type { IncomingMessage } from 'node:http'
import type { LogFields } from '../util/logger.js'
import { printable } from '../util/printable.js'

/** Longest part of a header or path that a log or an answer repeats, characters. */
const MAX_SHOWN = 100

/** Repeats what a client sent, so that somebody can see what is wrong with it. */
export function shown(value: string | undefined): string {
  if (value === undefined) return 'none'
  const text = printable(value)
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text)
}

/** Says what was seen of a request that led to its refusal. Never a token, a query or a body. */
export function seenOf(refusal: string, { headers, url = '' }: IncomingMessage): LogFields {
  const forwarded = headers['x-forwarded-for']
  const seen: Record<string, string | undefined> = {}
  // as the client or a proxy claims, where there is one: nothing is decided by it
  if (forwarded !== undefined) seen['forwardedFor'] = shown(String(forwarded))
  switch (refusal) {
    case 'host':
      seen['host'] = shown(headers.host)
      break
    case 'origin':
      seen['origin'] = shown(headers.origin)
      break
    case 'content_type':
      seen['contentType'] = shown(headers['content-type'])
      break
    case 'body_size':
      seen['contentLength'] = shown(headers['content-length'])
      break
    case 'path':
      seen['path'] = shown(url.split('?', 1)[0])
      break
  }
  return seen
}
