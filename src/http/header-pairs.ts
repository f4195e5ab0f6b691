/** Makes pairs of names and values that stand in turn. */
export function headerPairs(headers: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < headers.length; i += 2) {
    pairs.push([headers[i] as string, headers[i + 1] as string])
  }
  return pairs
}

/** Returns the value of a header, whose name is in lower case as we write it. */
export function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1]
  return undefined
}
