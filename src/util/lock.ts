import { randomBytes } from 'node:crypto'
import { link, readdir, readFile, stat, utimes } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { sleep } from './async.js'
import { isObject, tryParseJson } from './json.js'
import {
  ensurePrivateFolder,
  fileErrorCode,
  removeFile,
  writePrivateFile,
} from './private-files.js'
import type { Clock, System } from './runtime.js'

export interface LockDeps {
  clock: Clock
  system: Pick<System, 'pid' | 'isAlive'>
  /** Folder of all locks. They hold no secrets and are never the data itself. */
  folder: string
}

/** A lock that this process holds. */
export interface Lease {
  /** Tells whether nobody took it over, as happens when the machine slept longer than the lease. */
  held(): Promise<boolean>
  release(): Promise<void>
}

/** A holder that did not renew for so long is taken for dead. */
const LEASE_MS = 30_000

const RENEW_MS = 10_000

const POLL_MS = 40

/**
 * Takes a lock that excludes all other processes of this machine and all other callers in this one.
 *
 * Node has no `flock`. Each name is a folder of numbered files, and the highest number counts: it
 * names the holder or says `released`. Taking the lock is creating the next number, which the file
 * system grants to one caller only; the highest file is never deleted, so there is no moment at
 * which a slow stealer could remove a living holder's file. A holder is passed over only when its
 * process is provably gone or its lease expired.
 *
 * @param waitMs How long to wait for another holder; 0 tries once.
 * @returns `undefined` when the lock stayed taken, or `signal` aborted.
 */
export async function acquireLock(
  deps: LockDeps,
  name: string,
  { waitMs, signal }: { waitMs: number; signal?: AbortSignal },
): Promise<Lease | undefined> {
  const folder = join(deps.folder, name)
  await ensurePrivateFolder(deps.folder)
  await ensurePrivateFolder(folder)
  const deadline = deps.clock.now() + waitMs
  for (;;) {
    const lease = await tryAcquire(deps, folder)
    if (lease !== undefined || deps.clock.now() >= deadline || signal?.aborted) return lease
    await sleep(deps.clock, POLL_MS + Math.random() * POLL_MS, signal)
  }
}

async function tryAcquire(deps: LockDeps, folder: string): Promise<Lease | undefined> {
  const newest = await highest(folder)
  if (newest > 0 && !(await isFree(deps, join(folder, String(newest))))) return undefined
  const mine = newest + 1
  const path = join(folder, String(mine))
  const holder: Holder = {
    pid: deps.system.pid,
    host: hostname(),
    boot: await bootId(),
    start: await processStart(deps.system.pid),
    nonce: randomBytes(12).toString('hex'),
  }
  if (!(await createOnce(path, JSON.stringify(holder), deps.clock))) return undefined
  // Twice, for one listing may miss a number that is deleted and the next one that is created.
  if ((await highest(folder)) !== mine || (await highest(folder)) !== mine) {
    await removeFile(path) // others went on while we looked; their newer file counts
    return undefined
  }
  await removeOlder(folder, mine)
  return createLease(deps, folder, mine, holder.nonce)
}

/** Tells which living process of this machine holds a lock. */
export async function lockHolder(deps: LockDeps, name: string): Promise<number | undefined> {
  const folder = join(deps.folder, name)
  const newest = await highest(folder).catch(() => 0)
  const path = join(folder, String(newest))
  if (newest === 0 || (await isFree(deps, path))) return undefined
  const holder = await readHolder(path)
  return holder?.host === hostname() ? holder.pid : undefined
}

interface Holder {
  pid: number
  host: string
  boot: string | undefined
  start: string | undefined
  nonce: string
}

function createLease(deps: LockDeps, folder: string, mine: number, nonce: string): Lease {
  const path = join(folder, String(mine))
  let cancel = () => {}
  const renew = () => {
    cancel = deps.clock.after(RENEW_MS, () => {
      touch(path, deps.clock).then(renew, () => {})
    })
  }
  renew()
  const held = async () =>
    (await highest(folder)) === mine && (await readHolder(path))?.nonce === nonce
  return {
    held,
    async release() {
      cancel()
      if (await held()) await writePrivateFile(path, '{"released":true}', { durable: false })
    },
  }
}

async function isFree({ clock, system }: LockDeps, path: string): Promise<boolean> {
  const [holder, age] = await Promise.all([readHolder(path), ageOf(path, clock)])
  if (age === undefined) return false // gone: a newer file exists by now
  if (holder === undefined) return true
  if (Math.abs(age) > LEASE_MS) return true
  if (holder.host !== hostname()) return false // its processes cannot be seen from here
  const boot = await bootId()
  if (holder.boot !== undefined && boot !== undefined && holder.boot !== boot) return true
  if (!system.isAlive(holder.pid)) return true
  const start = await processStart(holder.pid)
  return holder.start !== undefined && start !== undefined && holder.start !== start
}

/** `undefined` when the lock was released (or its file cannot be understood). */
async function readHolder(path: string): Promise<Holder | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '')
  const value = tryParseJson(text)
  if (!isObject(value) || typeof value['pid'] !== 'number') return undefined
  const word = (member: unknown) => (typeof member === 'string' ? member : undefined)
  return {
    pid: value['pid'],
    host: word(value['host']) ?? '',
    boot: word(value['boot']),
    start: word(value['start']),
    nonce: word(value['nonce']) ?? '',
  }
}

async function highest(folder: string): Promise<number> {
  const numbers = (await readdir(folder)).filter((name) => /^\d+$/.test(name)).map(Number)
  return Math.max(0, ...numbers)
}

async function removeOlder(folder: string, than: number): Promise<void> {
  for (const name of await readdir(folder)) {
    if (/^\d+$/.test(name) && Number(name) < than) await removeFile(join(folder, name))
  }
}

/** Creates a file with its whole content, or tells that it exists: `link` never overwrites. */
async function createOnce(path: string, content: string, clock: Clock): Promise<boolean> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.new`
  await writePrivateFile(temporary, content, { durable: false })
  try {
    await touch(temporary, clock)
    await link(temporary, path)
    return true
  } catch (error) {
    if (fileErrorCode(error) === 'EEXIST') return false
    throw error
  } finally {
    await removeFile(temporary)
  }
}

async function touch(path: string, clock: Clock): Promise<void> {
  const seconds = clock.now() / 1_000
  await utimes(path, seconds, seconds)
}

async function ageOf(path: string, clock: Clock): Promise<number | undefined> {
  try {
    return clock.now() - (await stat(path)).mtimeMs
  } catch {
    return undefined
  }
}

/**
 * Returns when a process started, as an opaque word that tells it from a later process with the
 * same id. `undefined` where the system does not say (only Linux does, in `/proc`).
 */
async function processStart(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  // The second field is the program's name in parentheses and may hold spaces and parentheses.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19]
}

/** Returns a word that changes with each start of the machine; `undefined` outside Linux. */
async function bootId(): Promise<string | undefined> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => undefined)
  return text?.trim()
}
