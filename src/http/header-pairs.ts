/** Makes pairs of names and values that stand in turn. */
export function headerPairs(headers: readonly string[]): [string, string][] {
  const pairs: [string, string][] = []
  for (let i = 0; i < headers.length; i += 2) {
    pairs.push([headers[i] as string, headers[i + 1] as string])
  }
  return pairs
}
