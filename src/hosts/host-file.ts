import { randomBytes } from 'node:crypto'
import { type FileHandle, lstat, mkdir, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { MIB, readBytes } from '../util/bounded-file.js'
import { ProxyError } from '../util/errors.js'
import { fileErrorCode } from '../util/private-files.js'
import { brokenFile, type Merged, type MergeRequest } from './edit-error.js'

/** A host's file as it was read. */
export interface HostFile {
  /** The path that the host knows. */
  readonly path: string
  /** The path without symbolic links: settings are often linked into a repository. */
  readonly realPath: string
  /** `undefined` when there is no such file yet. */
  readonly text: string | undefined
  readonly mode: number
}

/** Large, because some assistants keep more than settings in this file. */
const MAX_BYTES = 16 * MIB

const HINT = 'Run the command without `--write`, and add by hand what it prints.'

/**
 * Reads a host's file.
 *
 * @param newMode Mode for a file that does not exist yet.
 * @throws {ProxyError} `CONFIG_INVALID` when it cannot be read, or is not UTF-8.
 */
export async function readHostFile(path: string, newMode: number): Promise<HostFile> {
  try {
    const realPath = await realpath(path)
    const { mode } = await stat(realPath)
    const bytes = readBytes(realPath, MAX_BYTES)
    const text = bytes.toString('utf8')
    if (!Buffer.from(text).equals(bytes)) {
      throw brokenFile(path, { what: 'it is not UTF-8', at: undefined })
    }
    return { path, realPath, text, mode: mode & 0o777 }
  } catch (error) {
    if (error instanceof ProxyError) throw error
    if (fileErrorCode(error) !== 'ENOENT') throw failed('read', path, error)
    if (await isLink(path)) {
      throw new ProxyError('CONFIG_INVALID', `${path} is a link to a file that does not exist`, {
        hint: 'Create that file, or remove the link.',
      })
    }
    return { path, realPath: path, text: undefined, mode: newMode }
  }
}

/**
 * Writes a host's file atomically, after copying the old content to `.bak`.
 *
 * @returns Path of the backup; `undefined` when there was no file before.
 * @throws {ProxyError} `CONFIG_INVALID` when it cannot be written, or was changed since it was read.
 */
export async function writeHostFile(file: HostFile, text: string): Promise<string | undefined> {
  const { path, realPath, mode } = file
  const now = await readHostFile(path, mode)
  if (now.text !== file.text) {
    throw new ProxyError('CONFIG_INVALID', `${path} was changed by another program just now`, {
      hint: 'Run the command again.',
    })
  }
  const backup = file.text === undefined ? undefined : `${realPath}.bak`
  try {
    await mkdir(dirname(realPath), { recursive: true })
    if (backup !== undefined) await replaceFile(backup, file.text ?? '', mode)
    await replaceFile(realPath, text, mode)
  } catch (error) {
    throw failed('write', path, error)
  }
  return backup
}

async function replaceFile(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const handle = await open(temporary, 'wx', mode)
    try {
      await handle.chmod(mode)
      await keepOwner(handle, path)
      await handle.writeFile(text)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** Keeps the owner of the old file, which would otherwise become root under `sudo`. */
async function keepOwner(handle: FileHandle, path: string): Promise<void> {
  try {
    const [old, mine] = await Promise.all([stat(path), handle.stat()])
    if (old.uid !== mine.uid || old.gid !== mine.gid) await handle.chown(old.uid, old.gid)
  } catch {
    // there is no old file, or we may not change owners
  }
}

async function isLink(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isSymbolicLink()
  } catch {
    return false
  }
}

function failed(what: 'read' | 'write', path: string, cause: unknown): ProxyError {
  const why = fileErrorCode(cause) ?? 'unknown reason'
  return new ProxyError('CONFIG_INVALID', `Cannot ${what} ${path} (${why})`, { hint: HINT, cause })
}

const MARK = '\uFEFF'

/**
 * Puts a server into the text of a host's file and leaves everything else as it is: order,
 * comments, indentation, line breaks, byte order mark.
 *
 * @throws {EditError} when the text is invalid, or written in a way that we do not edit.
 */
export async function merge(text: string, request: MergeRequest): Promise<Merged> {
  const mark = text.startsWith(MARK) ? MARK : ''
  const plain = text.slice(mark.length)
  const merged =
    request.host.format === 'toml'
      ? (await import('./toml-document.js')).mergeToml(plain, request)
      : (await import('./json-document.js')).mergeJson(plain, request)
  return { ...merged, text: mark + merged.text }
}
