import { createHmac, createSecretKey, hash, type KeyObject, randomBytes } from 'node:crypto'

/** Makes the hash of a record from all that stands before it in its line. */
export type MakeHash = (text: string | Buffer) => string

/** How records are protected: by a hash that everybody can make, or one that takes a key. */
export interface Protection {
  readonly member: 'hash' | 'mac'
  readonly of: MakeHash
}

/** @param key Without it nobody is kept from writing a whole new chain. */
export function createProtection(key: string | undefined): Protection {
  if (key === undefined) return { member: 'hash', of: (text) => hash('sha256', text, 'base64url') }
  const secret: KeyObject = createSecretKey(Buffer.from(key))
  const of: MakeHash = (text) => createHmac('sha256', secret).update(text).digest('base64url')
  return { member: 'mac', of }
}

/** The records of one process to one place: each holds the hash of the one before. */
export interface Chain {
  readonly writer: string
  /** Adds a record. */
  add(body: string): string
}

/**
 * Starts a chain.
 *
 * @param prev Hash of the record that the first one follows, of whichever process; none in an empty file.
 */
export function createChain(protection: Protection, prev: string | undefined): Chain {
  const writer = randomBytes(9).toString('base64url')
  let last = prev === undefined ? 'null' : `"${prev}"`
  let seq = 0
  return {
    writer,
    add(body) {
      seq++
      const start = `{${body},"writer":"${writer}","seq":${seq},"prev":${last}`
      last = `"${protection.of(start)}"`
      return `${start},"${protection.member}":${last}}\n`
    },
  }
}

/** What the chain needs of a record. */
export interface Link {
  readonly writer: string
  readonly seq: number
  readonly prev: string | undefined
  readonly member: 'hash' | 'mac'
  readonly hash: string
  /** How much of the line the hash stands for, bytes. */
  readonly length: number
}

/** No end of a record is longer. */
const MAX_END = 256

const END =
  /^,"writer":"([\w-]{1,32})","seq":([1-9]\d{0,14}),"prev":(?:null|"([\w-]{43})")(,"(hash|mac)":"([\w-]{43})"\})$/

/** Reads the end of a line, which we write in one way only; `undefined` when it is no record. */
export function readLink(line: Buffer): Link | undefined {
  const text = line.toString('latin1', Math.max(0, line.length - MAX_END))
  const at = text.lastIndexOf(',"writer":"')
  const found = at < 0 || line[0] !== 0x7b ? null : END.exec(text.slice(at))
  if (found === null) return undefined
  const [, writer = '', seq, prev, end = '', member, own = ''] = found
  return {
    ...{ writer, seq: Number(seq), prev, hash: own, length: line.length - end.length },
    member: member === 'mac' ? 'mac' : 'hash',
  }
}

/** Names bytes that are no record, so that they cannot be changed once a record tells of them. */
export interface Fragment {
  readonly bytes: number
  readonly sha256: string
}

export function fragmentOf(bytes: Buffer): Fragment {
  return { bytes: bytes.length, sha256: hash('sha256', bytes, 'base64url') }
}
