import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { MIB, readText } from './bounded-file.js'
import { ProxyError } from './errors.js'

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
    created = await mkdir(path, { recursive: true, mode: 0o700 })
  } catch (cause) {
    const why = fileErrorCode(cause) ?? 'unknown reason'
    throw new ProxyError('CONFIG_INVALID', `Cannot create the folder ${path} (${why})`, {
      hint: 'Set MCP_DESCOPE_HOME to a folder that you can write to.',
      cause,
    })
  }
  if (created !== undefined && ownUserId() === -1) {
    const { restrictToOwner } = await import('./windows-access.js')
    await restrictToOwner(path, userInfo().username)
  }
  await refuseIfOpen(path, '700')
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
    throw error
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
    await rm(temporary, { force: true })
    throw error
  }
  if (durable) await syncFolder(dirname(path))
}

/** Deletes a file; one that is not there is fine. */
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
