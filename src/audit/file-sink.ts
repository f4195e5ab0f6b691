import { closeSync, constants, fstatSync, openSync, type Stats, statSync, write } from 'node:fs'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { ProxyError } from '../util/errors.js'
import { ownMember } from '../util/json.js'
import { fileErrorCode } from '../util/private-files.js'
import { type Fragment, fragmentOf, type Protection } from './chain.js'
import { piecesForPipe, type Sink, type SinkFailure } from './sink.js'
import { type FileTail, readTail } from './tail.js'

const writeBytes = promisify(write)

export interface FileSink extends Sink {
  /** What stood in the file before. */
  readonly tail: FileTail
  /** The file can be read by everybody. */
  readonly isOpenToAll: boolean
}

const NOTHING: FileTail = { prev: undefined, ends: [], torn: undefined, foreign: undefined }

/**
 * Opens the file that records are added to, readable by its owner only. It is opened anew when it was
 * moved away. Nothing is written by the thread of the calls, so that no disk holds them up.
 *
 * A FIFO that nobody reads yet is no mistake: it is tried again.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when it cannot be opened.
 */
export function openFileSink(path: string, protection: Protection): FileSink {
  let file: number | undefined
  let found: Stats | undefined
  /** What is written next begins a new line. */
  let isTorn = false

  function open(): void {
    const isPipe = statSync(path, { throwIfNoEntry: false })?.isFIFO() === true
    const next = isPipe ? openSync(path, PIPE_FLAGS) : openFile(path)
    if (file !== undefined) closeSync(file)
    file = next
    found = fstatSync(next)
    isTorn = false
  }

  /** Follows a file that was moved away, or is gone. */
  async function follow(): Promise<void> {
    const now = await stat(path).catch((error: unknown) => {
      if (fileErrorCode(error) === 'ENOENT') return undefined
      throw error
    })
    const isSame = now !== undefined && now.ino === found?.ino && now.dev === found.dev
    if (file === undefined || !isSame) open()
  }

  async function writeOut(lines: readonly string[]): Promise<SinkFailure | undefined> {
    if (found?.isFile() === true) return writeLines(lines)
    let done = 0
    for (const piece of piecesForPipe(lines)) {
      const failure = await writeLines(piece)
      if (failure !== undefined) {
        return { ...failure, left: lines.slice(done + piece.length - failure.left.length) }
      }
      done += piece.length
    }
    return undefined
  }

  async function writeLines(lines: readonly string[]): Promise<SinkFailure | undefined> {
    const start = isTorn ? '\n' : ''
    const bytes = Buffer.from(start + lines.join(''))
    let written = 0
    if (lines.length === 0) return undefined
    try {
      while (written < bytes.length) {
        const { bytesWritten } = await writeBytes(file as number, bytes, written, undefined, null)
        if (bytesWritten === 0) throw new Error('nothing was written')
        written += bytesWritten
      }
      isTorn = false
      return undefined
    } catch (error) {
      const { left, torn } = whatIsLeft(lines, bytes, start.length, written)
      if (written > 0) isTorn = torn !== undefined
      return { reason: codeOf(error), left, torn }
    }
  }

  let tail = NOTHING
  let isOpenToAll = false
  try {
    open()
    if (found?.isFile() === true && file !== undefined) {
      tail = readTail(file, protection)
      isTorn = tail.torn !== undefined
      isOpenToAll = (found.mode & 0o007) !== 0
    }
  } catch (error) {
    if (fileErrorCode(error) !== 'ENXIO') throw cannotOpen(path, error)
  }
  return {
    name: 'file',
    where: path,
    tail,
    isOpenToAll,
    async write(lines) {
      try {
        await follow()
        return await writeOut(lines)
      } catch (error) {
        return { reason: codeOf(error), left: lines }
      }
    },
    close() {
      if (file !== undefined) closeSync(file)
      file = undefined
    },
  }
}

const PIPE_FLAGS = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK

function openFile(path: string): number {
  const { O_RDWR, O_WRONLY, O_APPEND, O_CREAT } = constants
  const known = statSync(path, { throwIfNoEntry: false })
  const access = known === undefined || known.isFile() ? O_RDWR : O_WRONLY
  return openSync(path, access | O_APPEND | O_CREAT, 0o600)
}

/** Finds out how far a failed write came. */
function whatIsLeft(
  lines: readonly string[],
  bytes: Buffer,
  from: number,
  written: number,
): { left: readonly string[]; torn: Fragment | undefined } {
  if (written <= from) return { left: lines, torn: undefined }
  const end = bytes.lastIndexOf(0x0a, written - 1) + 1
  let whole = 0
  for (let at = from; at < end; whole++) at = bytes.indexOf(0x0a, at) + 1
  const rest = bytes.subarray(end, written)
  return { left: lines.slice(whole), torn: rest.length > 0 ? fragmentOf(rest) : undefined }
}

function codeOf(error: unknown): string {
  return fileErrorCode(error) ?? 'unknown reason'
}

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'its folder does not exist',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is a file, not a folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
}

function cannotOpen(path: string, cause: unknown): ProxyError {
  const code = codeOf(cause)
  const known = ownMember(WHY, code)
  const why = known === undefined ? code : `${known} (${code})`
  return new ProxyError('CONFIG_INVALID', `Cannot open audit.file ${path}: ${why}`, {
    hint: 'Name a file in a folder that exists and that this process may write to.',
    cause,
  })
}
