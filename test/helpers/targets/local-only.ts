import type { IncomingMessage, ServerResponse } from 'node:http'
import { refuse } from './recording.js'

const LOCAL = ['localhost', '127.0.0.1', '[::1]']

/** Answers 403 to a request for, or from, a name that is not local; tells whether it did. */
export function refuseForeign({ headers }: IncomingMessage, response: ServerResponse): boolean {
  const urls = [`http://${headers.host}`, headers.origin ?? 'http://localhost']
  const isLocal = urls.every((url) => URL.canParse(url) && LOCAL.includes(new URL(url).hostname))
  if (!isLocal) refuse(response, 403, -32000, 'Forbidden')
  return !isLocal
}
