import { BoundedMap } from '../../util/bounded-map.js'

/** A list as the target sent it and as it was rewritten, both cut at the request's id. */
interface Entry {
  before: Buffer
  after: Buffer
  exposedBefore: Buffer
  exposedAfter: Buffer
}

const MAX_ENTRY_BYTES = 8 * 1024 * 1024

/**
 * Keeps rewritten lists, so that equal bytes from the target are not parsed and renamed again:
 * comparing bytes takes microseconds, rewriting takes milliseconds.
 */
export class ListCache {
  readonly #entries: BoundedMap<string, Entry>

  /** @param maxEntries How many lists are kept; the oldest goes first. */
  constructor(maxEntries = 64) {
    this.#entries = new BoundedMap(maxEntries)
  }

  /**
   * Finds the rewritten bytes of an answer that differs from the last one only by its id.
   *
   * @param key What the rewriting depends on besides the bytes.
   * @param id The request's id as JSON text.
   */
  find(key: string, id: string, bytes: Buffer): Buffer | undefined {
    const known = this.#entries.get(key)
    return known === undefined ? undefined : applyEntry(known, Buffer.from(id), bytes)
  }

  /** Returns the rewritten bytes of an answer, and keeps them. */
  rewrite(
    key: string,
    id: string,
    bytes: Buffer,
    rewrite: (text: string) => string | undefined,
  ): Buffer {
    const known = this.find(key, id, bytes)
    if (known !== undefined) return known
    const exposedText = rewrite(bytes.toString('utf8'))
    if (exposedText === undefined) return bytes
    const exposed = Buffer.from(exposedText)
    this.#learn(key, id, bytes, exposed)
    return exposed
  }

  #learn(key: string, id: string, bytes: Buffer, exposed: Buffer): void {
    const cut = cutAtId(bytes, id)
    const exposedCut = cutAtId(exposed, id)
    if (cut === undefined || exposedCut === undefined) return
    if (bytes.length > MAX_ENTRY_BYTES) return
    const [before, after] = cut
    const [exposedBefore, exposedAfter] = exposedCut
    this.#entries.set(key, { before, after, exposedBefore, exposedAfter })
  }
}

function applyEntry(entry: Entry, id: Buffer, bytes: Buffer): Buffer | undefined {
  const { before, after } = entry
  if (bytes.length !== before.length + id.length + after.length) return undefined
  const idEnd = before.length + id.length
  if (
    bytes.compare(after, 0, after.length, idEnd) !== 0 ||
    bytes.compare(before, 0, before.length, 0, before.length) !== 0 ||
    bytes.compare(id, 0, id.length, before.length, idEnd) !== 0
  ) {
    return undefined
  }
  return Buffer.concat([entry.exposedBefore, id, entry.exposedAfter])
}

/**
 * Cuts an answer around its top-level `id`, which serializers write first or last. Only the known
 * forms of both ends are recognized; any other text is not cut, and so not kept.
 */
function cutAtId(bytes: Buffer, id: string): [Buffer, Buffer] | undefined {
  for (const head of [`{"jsonrpc":"2.0","id":${id},`, `{"id":${id},`]) {
    if (bytes.subarray(0, Buffer.byteLength(head)).toString() === head) {
      const at = Buffer.byteLength(head) - 1 - Buffer.byteLength(id)
      return [bytes.subarray(0, at), bytes.subarray(at + Buffer.byteLength(id))]
    }
  }
  for (const tail of [
    `,"jsonrpc":"2.0","id":${id}}`,
    `,"id":${id},"jsonrpc":"2.0"}`,
    `,"id":${id}}`,
  ]) {
    const length = Buffer.byteLength(tail)
    if (bytes.length > length && bytes.subarray(-length).toString() === tail) {
      const at = bytes.length - length + tail.indexOf('"id":') + '"id":'.length
      return [bytes.subarray(0, at), bytes.subarray(at + Buffer.byteLength(id))]
    }
  }
  return undefined
}
