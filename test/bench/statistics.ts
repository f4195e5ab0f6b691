export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/**
 * The median over rounds of the ratio within a round: what slows the whole machine down for a
 * while slows both sides of a ratio.
 */
export function medianRatio<T>(
  own: readonly T[] | undefined,
  reference: readonly T[] | undefined,
  value: (item: T) => number | undefined,
): number | undefined {
  const ratios: number[] = []
  for (const [round, item] of (own ?? []).entries()) {
    const above = value(item)
    const below = reference?.[round] && value(reference[round])
    if (above !== undefined && below) ratios.push(above / below)
  }
  return ratios.length > 0 ? median(ratios) : undefined
}
