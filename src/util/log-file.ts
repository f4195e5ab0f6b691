import { closeSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import { ProxyError } from './errors.js'
import { fileErrorCode } from './private-files.js'

const MAX_BYTES = 1_000_000
const FILES = 5

/**
 * Opens a log file that only its owner can read. When it is full it becomes `<path>.1`, that one
 * `<path>.2`, and so on; the fifth goes.
 *
 * @returns A function that appends text; what cannot be written is dropped.
 * @throws {ProxyError} `CONFIG_INVALID` when the file cannot be opened.
 */
export function openLogFile(path: string, maxBytes = MAX_BYTES): (text: string) => void {
  let file = open(path)
  let size = fstatSync(file).size

  const rotate = () => {
    closeSync(file)
    for (let number = FILES - 1; number > 0; number--) {
      const from = number === 1 ? path : `${path}.${number - 1}`
      try {
        renameSync(from, `${path}.${number}`)
      } catch {
        // there are not so many yet
      }
    }
    file = open(path)
    size = fstatSync(file).size
  }

  return (text) => {
    try {
      if (size > 0 && size + text.length > maxBytes) rotate()
      size += writeSync(file, text)
    } catch {
      // a full disk must not end the bridge
    }
  }
}

function open(path: string): number {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    return openSync(path, 'a', 0o600)
  } catch (cause) {
    const why = fileErrorCode(cause) ?? 'unknown reason'
    throw new ProxyError('CONFIG_INVALID', `Cannot write the log file ${path} (${why})`, {
      hint: 'Name a file in a folder that you can write to.',
      cause,
    })
  }
}
