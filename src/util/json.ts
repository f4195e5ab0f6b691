export type JsonObject = { [member: string]: unknown }

/** Names by which an assignment reaches an object's prototype instead of a member. */
const PROTOTYPE_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** What is nested deeper is not copied. */
const MAX_COPY_DEPTH = 32

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

/** Returns an object's own member: nothing is read from its prototype. */
export function ownMember<T>(object: Readonly<Record<string, T>>, member: string): T | undefined {
  return Object.hasOwn(object, member) ? object[member] : undefined
}

/** Makes an object that has no prototype, so that all it has are its own members. */
export function bareObject<T = unknown>(from: Readonly<Record<string, T>> = {}): Record<string, T> {
  return Object.assign(Object.create(null), from)
}

/** Sets a member, whatever its name is; those that lead to a prototype are left out. */
export function setMember<T>(object: Record<string, T>, member: string, value: T): void {
  if (!PROTOTYPE_NAMES.has(member)) object[member] = value
}

/**
 * Copies a parsed JSON value that somebody else wrote: objects without a prototype, without the
 * members that lead to one, and without what is nested too deep.
 */
export function copyForeign(value: unknown, depth = MAX_COPY_DEPTH): unknown {
  if (Array.isArray(value)) {
    return depth > 0 ? value.map((item) => copyForeign(item, depth - 1)) : []
  }
  if (!isObject(value)) return value
  const copy: JsonObject = bareObject()
  if (depth <= 0) return copy
  for (const [member, own] of Object.entries(value)) {
    setMember(copy, member, copyForeign(own, depth - 1))
  }
  return copy
}

/** Returns the member when it is a string, else `undefined`. */
export function stringMember(object: JsonObject, member: string): string | undefined {
  const value = ownMember(object, member)
  return typeof value === 'string' ? value : undefined
}

/** Returns the member when it is a string that is not empty: `""` counts as absent, as `null` does. */
export function textMember(object: JsonObject, member: string): string | undefined {
  return stringMember(object, member) || undefined
}

/** Returns a member of a value when both are objects, else `undefined`. */
export function objectMember(object: unknown, member: string): JsonObject | undefined {
  const value = isObject(object) ? ownMember(object, member) : undefined
  return isObject(value) ? value : undefined
}

/** Returns the strings of an array member; anything else counts as none. */
export function stringsMember(object: JsonObject, member: string): string[] {
  const value = ownMember(object, member)
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []
}

/** As `stringsMember`, without empty strings. */
export function textsMember(object: JsonObject, member: string): string[] {
  return stringsMember(object, member).filter((item) => item !== '')
}

/**
 * Returns the member when it is a number above zero, or a text that begins with one; anything else,
 * which says nothing of a time or an interval, is `undefined`.
 */
export function positiveMember(object: JsonObject, member: string): number | undefined {
  const value = object[member]
  const number = typeof value === 'string' ? Number.parseFloat(value) : value
  return typeof number === 'number' && Number.isFinite(number) && number > 0 ? number : undefined
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Tells whether a JSON text opens more than `depth` objects and arrays within each other. It does not
 * have to be valid. Check foreign text with this before walking its value by recursion.
 */
export function isDeeper(text: string, depth: number): boolean {
  // so many brackets do not fit into less
  if (text.length <= depth) return false
  let open = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === QUOTE) {
      i = endOfString(text, i)
    } else if (c === 0x5b || c === 0x7b) {
      open += 1
      if (open > depth) return true
    } else if (c === 0x5d || c === 0x7d) open -= 1
  }
  return false
}

/** Returns the index of the quote that ends the string which begins at `start`, or the text's length. */
export function endOfString(text: string, start: number): number {
  for (let i = text.indexOf('"', start + 1); i >= 0; i = text.indexOf('"', i + 1)) {
    let slashes = 0
    while (text.charCodeAt(i - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return i
  }
  return text.length
}

/** Writes where something stands in a document: `result.tools[0]["x y"]`. */
export function jsonPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === 'number') return `${text}[${key}]`
    const name = String(key)
    if (text === '') return name
    return /^[A-Za-z_$][\w$]*$/.test(name) ? `${text}.${name}` : `${text}[${JSON.stringify(name)}]`
  }, '')
}
