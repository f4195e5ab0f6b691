export type JsonObject = { [member: string]: unknown }

/** Tells whether a parsed JSON value is an object (not null, not an array). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Parses JSON, or returns `undefined` when it is not JSON. `null` stays `null`. */
export function tryParseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Returns the member when it is a string, else `undefined`. */
export function stringMember(object: JsonObject, member: string): string | undefined {
  const value = object[member]
  return typeof value === 'string' ? value : undefined
}

/** Returns the strings of an array member; anything else counts as none. */
export function stringsMember(object: JsonObject, member: string): string[] {
  const value = object[member]
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}
