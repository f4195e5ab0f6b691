import { findMember } from '../mcp/scan.js'

/**
 * Tells whether a message that we wrote is an error. Its id, which comes first, holds no unescaped
 * quote, so that the member that follows it is found by the text before it.
 */
export function isOwnError(text: string): boolean {
  const at = text.indexOf(',"error":{')
  return at >= 0 && text.lastIndexOf(',"result":', at) < 0
}

/** Adds `data.requestId` to an error that we wrote; its id stays as it is written. */
export function withRequestId(text: string, requestId: string): string {
  const error = findMember(text, 0, 'error')
  if (error === undefined) return text
  const member = `"requestId":${JSON.stringify(requestId)}`
  const data = findMember(text, error.start, 'data')
  if (data === undefined) return insert(text, error.end - 1, `,"data":{${member}}`)
  if (text[data.start] !== '{' || findMember(text, data.start, 'requestId') !== undefined) {
    return text
  }
  const isEmpty = text[data.end - 1] === '}' && text.slice(data.start + 1, data.end - 1) === ''
  return insert(text, data.start + 1, isEmpty ? member : `${member},`)
}

function insert(text: string, at: number, what: string): string {
  return text.slice(0, at) + what + text.slice(at)
}
