import { isObject, type JsonObject } from '../util/json.js'
import { fragmentOf } from './chain.js'

interface Place {
  readonly file: string
  readonly line: number
}

/** So many are remembered; there is one for each crash. */
const MAX_FRAGMENTS = 1_000

/** Keeps what is no record until a later record tells of it. */
export function createFragments() {
  const open = new Map<string, { place: Place; bytes: number }>()
  const rest: { place: Place; bytes: number }[] = []
  let blank: Place | undefined

  return {
    add(bytes: Buffer, place: Place): void {
      if (bytes.length === 0) {
        blank ??= place
        return
      }
      const { sha256 } = fragmentOf(bytes)
      if (!open.has(sha256) && open.size < MAX_FRAGMENTS) {
        open.set(sha256, { place, bytes: bytes.length })
      } else if (rest.length < MAX_FRAGMENTS) rest.push({ place, bytes: bytes.length })
    },

    /** @returns How many bytes that the record tells of are not there. */
    claim(record: JsonObject, { line }: Place): number {
      const { fragments } = record
      if (!Array.isArray(fragments)) return 0
      let missing = 0
      for (const fragment of fragments.slice(0, MAX_FRAGMENTS)) {
        if (!isObject(fragment) || open.delete(String(fragment['sha256']))) continue
        missing += Number(fragment['bytes']) || 1
      }
      // two processes that start at once both end the line that was torn
      if (blank !== undefined && blank.line === line - 1) blank = undefined
      return missing
    },

    unclaimed: () => [
      ...open.values(),
      ...rest,
      ...(blank === undefined ? [] : [{ place: blank, bytes: 1 }]),
    ],
  }
}
