import { readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { lockHolder } from '../util/lock.js'
import type { Flow } from './flow.js'

/** Loopback and wildcard addresses, as the kernel writes them: each word in the machine's byte order. */
const OURS = new Set([
  '0100007F',
  '00000000',
  '00000000000000000000000000000000',
  '00000000000000000000000001000000',
  '0000000000000000FFFF00000100007F',
])

const LISTENS = '0A'

/**
 * Finds the process that listens on a loopback port, in `/proc`: on Linux only, and only processes of
 * the same user. Otherwise `undefined`.
 */
export async function listeningProcess(
  port: number,
): Promise<{ pid: number; name: string } | undefined> {
  const tables = await Promise.all(['tcp', 'tcp6'].map((table) => read(`/proc/net/${table}`)))
  const sockets = new Set(tables.flatMap((table) => listeners(table, port)))
  if (sockets.size === 0) return undefined
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  for (const pid of pids) {
    const files = await readdir(`/proc/${pid}/fd`).catch(() => [])
    const links = files.map((file) => readlink(`/proc/${pid}/fd/${file}`).catch(() => ''))
    if (!(await Promise.all(links)).some((link) => sockets.has(link))) continue
    const name = (await read(`/proc/${pid}/comm`)).trim().replace(/[^\w .+-]/g, '?')
    return { pid: Number(pid), name }
  }
  return undefined
}

/**
 * Reads a table of sockets.
 *
 * @returns What the descriptors of the listening ones link to.
 * @see [proc_net_tcp](https://docs.kernel.org/networking/proc_net_tcp.html)
 */
function listeners(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0')
  return table.split('\n').flatMap((line) => {
    const [, local = '', , state, , , , , , inode] = line.trim().split(/\s+/)
    const [address = '', hexPort] = local.split(':')
    if (hexPort !== wanted || state !== LISTENS || !OURS.has(address)) return []
    return [`socket:[${inode}]`]
  })
}

function read(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '')
}

/**
 * Says which process uses a callback port: from the system, else from the lock of a pending sign-in with
 * that port. `undefined` when neither knows.
 */
export async function portHolder(
  { runtime, pending, key, folder }: Pick<Flow, 'runtime' | 'pending' | 'key' | 'folder'>,
  port: number,
): Promise<string | undefined> {
  const found = await listeningProcess(port)
  if (found !== undefined) return `process ${found.pid}, ${found.name}`
  const other = (await pending.portsOfOthers(key)).get(port)
  if (other === undefined) return undefined
  const pid = await lockHolder({ ...runtime, folder: join(folder, 'locks') }, `sign-in-${other}`)
  return pid === undefined ? undefined : `process ${pid}, which signs in to another target`
}
