import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { isatty } from 'node:tty'

const PIECE = 65_536
export const MIB = 1_048_576

/** Makes the error for a file that nobody reads as a whole; `code` completes "cannot be read (…)". */
function unreadable(path: string, code: string): Error {
  const message = `${path}: ${code}`
  return Object.assign(new Error(message), { code })
}

/**
 * Reads a file, or a pipe to its end, unless there is more than anybody meant to write into it.
 *
 * @throws {Error} With a `code`: that of the system, or a reason in words.
 */
export function readBytes(path: string, maxBytes: number): Buffer {
  const file = openSync(path, 'r')
  try {
    if (isatty(file)) throw unreadable(path, 'a terminal')
    const pieces: Buffer[] = []
    let length = 0
    const expected = Math.min(fstatSync(file).size, maxBytes) + 1
    for (;;) {
      const piece = Buffer.alloc(Math.max(PIECE, expected - length))
      const count = readSync(file, piece)
      if (count === 0) return Buffer.concat(pieces, length)
      pieces.push(piece.subarray(0, count))
      length += count
      if (length > maxBytes) throw unreadable(path, `larger than ${sizeOf(maxBytes)}`)
    }
  } finally {
    closeSync(file)
  }
}

/** As {@link readBytes}, for text. */
export function readText(path: string, maxBytes = MIB): string {
  return readBytes(path, maxBytes).toString('utf8')
}

const sizeOf = (bytes: number) => (bytes < MIB ? `${bytes / 1_024} KiB` : `${bytes / MIB} MiB`)
