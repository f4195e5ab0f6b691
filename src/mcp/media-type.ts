/** The two types that an MCP answer may have. */
export const JSON_TYPE = 'application/json'

export const STREAM_TYPE = 'text/event-stream'

/** Returns a content type in lower case and without its parameters. */
export function mediaTypeOf(value: string | string[] | undefined): string | undefined {
  const first = Array.isArray(value) ? value[0] : value
  if (first === undefined || first === JSON_TYPE || first === STREAM_TYPE) return first
  return first.split(';', 1)[0]?.trim().toLowerCase()
}
