import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'

/** No record is longer. */
const MAX_LINE = 1_048_576

const NEW_LINE = 0x0a

/** Opens a file as bytes, decompressed when its name ends in `.gz`. */
export async function openBytes(path: string): Promise<Readable> {
  const raw = createReadStream(path, { highWaterMark: 262_144 })
  if (!path.endsWith('.gz')) return raw
  const { createGunzip } = await import('node:zlib')
  const unzip = createGunzip()
  raw.on('error', (error) => unzip.destroy(error))
  return raw.pipe(unzip)
}

/**
 * Calls back with each line of a stream, without its end. Of one that is too long for a record, with the
 * first part.
 *
 * @returns How many lines there are.
 */
export async function eachLine(
  stream: Readable,
  take: (line: Buffer, number: number) => void,
): Promise<number> {
  let number = 0
  let rest: Buffer[] = []
  let length = 0
  const keep = (bytes: Buffer) => {
    if (length >= MAX_LINE) return
    rest.push(bytes.subarray(0, MAX_LINE - length))
    length += bytes.length
  }
  const end = () => {
    number++
    take(rest.length === 1 ? (rest[0] as Buffer) : Buffer.concat(rest), number)
    rest = []
    length = 0
  }
  for await (const chunk of stream) {
    const bytes = chunk as Buffer
    let start = 0
    for (let at = bytes.indexOf(NEW_LINE); at >= 0; at = bytes.indexOf(NEW_LINE, start)) {
      keep(bytes.subarray(start, at))
      end()
      start = at + 1
    }
    if (start < bytes.length) keep(bytes.subarray(start))
  }
  if (length > 0) end()
  return number
}
