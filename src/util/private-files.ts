import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { MIB, readText } from './bounded-file.js'
import { ProxyError } from './errors.js'
import { ownMember } from './json.js'

/** Returns the error code of a failed file system call. */
export function fileErrorCode(error: unknown): string | undefined {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined
  return typeof code === 'string' ? code : undefined
}

/**
 * Creates a folder that only its owner can enter.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when it cannot be created, or exists and is open to others.
 */
export async function ensurePrivateFolder(path: string): Promise<void> {
  let created: string | undefined
  try {
    created = await makeFolder(path)
  } catch (cause) {
    throw unusable(`Cannot create the folder ${path}`, cause)
  }
  if (created !== undefined && ownUserId() === -1) {
    await restrictToOwner(path, userInfo().username)
  }
  await refuseIfOpen(path, '700')
}

/**
 * Creates a folder and what leads to it. Node's own way (`recursive`) never ends where a folder that
 * exists takes no others, such as `/proc`.
 *
 * @returns The first folder that was created; `undefined` when it was there.
 */
async function makeFolder(path: string): Promise<string | undefined> {
  const make = () => mkdir(path, { mode: 0o700 })
  try {
    await make()
    return path
  } catch (error) {
    if (await isFolder(path)) return undefined
    const parent = dirname(path)
    if (fileErrorCode(error) !== 'ENOENT' || parent === path) throw error
    const first = await makeFolder(parent)
    await make().catch(async (thrown: unknown) => {
      if (!(await isFolder(path))) throw thrown
    })
    return first ?? path
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true
}

/**
 * Reads a file that only its owner may read; `undefined` when there is none.
 *
 * @throws {ProxyError} `CONFIG_INVALID` when others can read it or own it.
 */
export async function readPrivateFile(path: string): Promise<string | undefined> {
  try {
    await refuseIfOpen(dirname(path), '700')
    await refuseIfOpen(path, '600')
    return readText(path, MIB)
  } catch (error) {
    if (fileErrorCode(error) === 'ENOENT') return undefined
    if (error instanceof ProxyError) throw error
    throw unusable(`Cannot read ${path}`, error)
  }
}

/** Makes the error for a folder that is none, or that we may not use. */
function unusable(what: string, cause: unknown): ProxyError {
  const code = fileErrorCode(cause) ?? 'unknown reason'
  const why = ownMember(WHY, code) ?? code
  return new ProxyError('CONFIG_INVALID', `${what}: ${why}`, {
    hint: 'Set MCP_DESCOPE_HOME to a folder of your own that you can write to.',
    cause,
  })
}

const WHY: Readonly<Record<string, string>> = {
  ENOTDIR: 'a part of the path is a file, not a folder (ENOTDIR)',
  EEXIST: 'a part of the path is a file, not a folder (EEXIST)',
  ENOENT: 'a part of the path is missing and cannot be made (ENOENT)',
  EACCES: 'permission denied (EACCES)',
  EPERM: 'permission denied (EPERM)',
  EROFS: 'the file system is read-only (EROFS)',
  ENOSPC: 'the disk is full (ENOSPC)',
  EISDIR: 'it is a folder, not a file (EISDIR)',
  ELOOP: 'its links lead in a circle (ELOOP)',
  ENAMETOOLONG: 'its name is too long (ENAMETOOLONG)',
}

/**
 * Looks at a folder before it is needed. It need not exist, but no part of its path may be a file.
 *
 * @throws {ProxyError} `CONFIG_INVALID`
 */
export function requireFolder(path: string): void {
  try {
    if (statSync(path).isDirectory()) return
    throw Object.assign(new Error('no folder'), { code: 'ENOTDIR' })
  } catch (error) {
    if (fileErrorCode(error) === 'ENOENT') return
    throw unusable(`${path} is no folder for tokens and settings`, error)
  }
}

/**
 * Replaces a file so that a reader, or whoever comes after a crash, finds either the old or the
 * new content, never a part: temporary file, fsync, rename, fsync of the folder.
 *
 * @param durable `false` leaves out both fsyncs, for what means nothing after a crash.
 */
export async function writePrivateFile(
  path: string,
  content: string,
  { durable = true } = {},
): Promise<void> {
  await ensurePrivateFolder(dirname(path))
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(content)
      if (durable) await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw unusable(`Cannot write ${path}`, error)
  }
  if (durable) await syncFolder(dirname(path))
}

/** Deletes a file, if there is one. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true })
}

async function refuseIfOpen(path: string, mode: '600' | '700'): Promise<void> {
  const uid = ownUserId()
  if (uid === -1) return // Windows: the folder's access list decides, and it has no mode bits
  const found = await stat(path)
  if (uid !== undefined && found.uid !== uid) {
    throw new ProxyError('CONFIG_INVALID', `${path} belongs to another user`, {
      hint: 'Move it away, or set MCP_DESCOPE_HOME to a folder of your own.',
    })
  }
  if ((found.mode & 0o077) !== 0) {
    throw new ProxyError('CONFIG_INVALID', `${path} can be read by other users`, {
      hint: `Run \`chmod ${mode} ${path}\`.`,
    })
  }
}

/** A container may run under a user id that has no account; then there is nothing to compare. */
function ownUserId(): number | undefined {
  try {
    return userInfo().uid
  } catch {
    return undefined
  }
}

/** Makes the rename itself survive a power cut; not every platform can do it. */
async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  } catch {
    // Windows cannot open folders; the rename is as durable as it gets there.
  }
}

/** Runs a program to its end; tells whether it went well. */
type Attempt = (command: string, args: readonly string[]) => Promise<boolean>

/**
 * Lets only its owner into a folder, on Windows. A folder that stays as it was is as private as the
 * one around it, and in the profile of a user that is private.
 *
 * @see [icacls](https://learn.microsoft.com/windows-server/administration/windows-commands/icacls)
 */
export async function restrictToOwner(
  path: string,
  owner: string,
  attempt: Attempt = runProgram,
): Promise<void> {
  const isGranted = await attempt('icacls', [path, '/grant:r', `${owner}:(OI)(CI)F`, '/q'])
  // only then, so that nobody is shut out whose name it does not know
  if (isGranted) await attempt('icacls', [path, '/inheritance:r', '/q'])
}

async function runProgram(command: string, args: readonly string[]): Promise<boolean> {
  const { execFile } = await import('node:child_process')
  return new Promise((resolve) => {
    execFile(command, [...args], { windowsHide: true, timeout: 3_000 }, (error) =>
      resolve(error === null),
    )
  })
}
