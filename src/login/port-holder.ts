import { join } from 'node:path'
import { lockHolder } from '../util/lock.js'
import type { Flow } from './flow.js'

/**
 * Says which process holds a callback port: as the system tells, or as the sign-in that is on disk
 * tells, where it is one of ours. `undefined` when neither does.
 */
export async function portHolder(
  { runtime, pending, key, folder }: Pick<Flow, 'runtime' | 'pending' | 'key' | 'folder'>,
  port: number,
): Promise<string | undefined> {
  const { listeningProcess } = await import('../util/port-owner.js')
  const found = await listeningProcess(port)
  if (found !== undefined) return `process ${found.pid}, ${found.name}`
  const other = (await pending.portsOfOthers(key)).get(port)
  if (other === undefined) return undefined
  const pid = await lockHolder({ ...runtime, folder: join(folder, 'locks') }, `sign-in-${other}`)
  return pid === undefined ? undefined : `process ${pid}, which signs in to another target`
}
