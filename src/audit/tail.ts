import { fstatSync, readSync } from 'node:fs'
import { isObject, tryParseJson } from '../util/json.js'
import { type Fragment, fragmentOf, type Link, type Protection, readLink } from './chain.js'

/** So much of a file is looked at. */
const MAX_TAIL = 1_048_576

const MAX_ENDS = 50

const RECHECK_MS = 50

/** The end of one process's records. */
export interface End {
  readonly writer: string
  readonly seq: number
  readonly hash: string
}

/** What a new process has to know of the file that it goes on with. */
export interface FileTail {
  /** Hash of the last record. */
  readonly prev: string | undefined
  /** Where the records of other processes end that no record follows. */
  readonly ends: readonly End[]
  /** What stands at the end without being a whole line, as after a crash. */
  readonly torn: Fragment | undefined
  /** How records in it are protected, where that is not the way of this process. */
  readonly foreign: ForeignProtection | undefined
}

/** Without a key, with one where this process has none, or with another one. */
export type ForeignProtection = 'no key' | 'a key' | 'another key'

/** Reads the end of an open file, which goes on with records that are protected in a given way. */
export function readTail(file: number, protection: Protection): FileTail {
  let bytes = lastBytes(file)
  if (isTorn(bytes)) {
    // another process may be writing it
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RECHECK_MS)
    bytes = lastBytes(file)
  }
  const end = bytes.lastIndexOf(0x0a) + 1
  const torn = isTorn(bytes) ? fragmentOf(bytes.subarray(end)) : undefined
  const ends = new Map<string, End>()
  let last: Link | undefined
  let foreign: ForeignProtection | undefined
  for (let start = 0; start < end; ) {
    const stop = bytes.indexOf(0x0a, start)
    const line = bytes.subarray(start, stop)
    start = stop + 1
    const link = readLink(line)
    if (link === undefined) continue
    if (link.seq === 1) for (const writer of followed(line, link, ends)) ends.delete(writer)
    ends.set(link.writer, { writer: link.writer, seq: link.seq, hash: link.hash })
    if (link.member !== protection.member) foreign = link.member === 'mac' ? 'a key' : 'no key'
    // the first line may be cut off where the file is longer
    else if (line.byteOffset > bytes.byteOffset || bytes.length < MAX_TAIL) {
      foreign ??= madeByOther(line, link, protection)
    }
    last = link
  }
  if (last !== undefined) ends.delete(last.writer)
  return { prev: last?.hash, ends: [...ends.values()].slice(-MAX_ENDS), torn, foreign }
}

/** A changed record cannot be told from one with another key, and without a key there is no other one. */
function madeByOther(
  line: Buffer,
  { member, length, hash }: Link,
  protection: Protection,
): ForeignProtection | undefined {
  if (member !== 'mac' || protection.of(line.subarray(0, length)) === hash) return undefined
  return 'another key'
}

/** Returns the processes whose last records the first record of another one follows. */
function followed(line: Buffer, { prev }: Link, ends: ReadonlyMap<string, End>): string[] {
  const record = tryParseJson(line.toString())
  const hashes = new Set([prev, ...endsIn(record).map((end) => end.hash)])
  return [...ends.values()].filter((end) => hashes.has(end.hash)).map(({ writer }) => writer)
}

/** Reads the ends that a record names, as it was written or by anybody. */
export function endsIn(record: unknown): End[] {
  const given = isObject(record) && Array.isArray(record['after']) ? record['after'] : []
  return given.slice(0, MAX_ENDS).flatMap((end: unknown) => {
    if (!isObject(end)) return []
    const { writer, seq, hash } = end
    const isEnd = typeof writer === 'string' && typeof seq === 'number' && typeof hash === 'string'
    return isEnd ? [{ writer: writer.slice(0, 32), seq, hash: hash.slice(0, 43) }] : []
  })
}

function lastBytes(file: number): Buffer {
  const { size } = fstatSync(file)
  const bytes = Buffer.alloc(Math.min(size, MAX_TAIL))
  const length = readSync(file, bytes, 0, bytes.length, size - bytes.length)
  return bytes.subarray(0, length)
}

function isTorn(bytes: Buffer): boolean {
  return bytes.length > 0 && bytes[bytes.length - 1] !== 0x0a
}
