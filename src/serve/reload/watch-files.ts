import { stat } from 'node:fs/promises'
import type { Clock } from '../../util/runtime.js'

const LOOK_MS = 500

/** A file that is being written is not read before it has rested for so long. */
const REST_MS = 200

/** What tells one version of a file from another; the same for a file that is not there. */
async function versionOf(path: string): Promise<{ id: string; changedAt: number }> {
  try {
    // of what a symbolic link leads to, which Kubernetes exchanges
    const found = await stat(path, { bigint: true })
    if (!found.isFile()) return { id: 'no file', changedAt: 0 }
    const { ino, dev, size, mtimeNs, ctimeNs, mtimeMs } = found
    return { id: [dev, ino, size, mtimeNs, ctimeNs].join(), changedAt: Number(mtimeMs) }
  } catch (error) {
    return { id: String((error as NodeJS.ErrnoException).code), changedAt: 0 }
  }
}

/** One that never rests is read all the same after a while. */
const LONGEST_MS = 1_000

export interface FileWatch {
  /** Takes the files as they are now for known; to be called before they are read. */
  settle(): Promise<void>
  stop(): void
}

/**
 * Looks at files again and again: events of the system do not come from every file system, and not for
 * what a symbolic link leads to.
 *
 * @param files The files to look at now; none while nobody wants to know.
 * @param onChange Called when some have changed and then rested.
 */
export function watchFiles(
  clock: Pick<Clock, 'now' | 'after'>,
  files: () => readonly string[],
  onChange: () => void,
): FileWatch {
  const known = new Map<string, string>()
  /** When the files were read last, milliseconds since the epoch. */
  let readAt = clock.now()
  /** Since when they change. */
  let changesSince: number | undefined
  let cancel = () => {}
  let isStopped = false

  /** @returns Whether something is other than when it was last looked at, or read. */
  async function look(): Promise<boolean> {
    const paths = [...new Set(files())]
    const versions = await Promise.all(paths.map(versionOf))
    let differs = false
    for (const [index, { id, changedAt }] of versions.entries()) {
      const path = paths[index] as string
      const before = known.get(path)
      if (before === undefined ? changedAt > readAt : before !== id) differs = true
      known.set(path, id)
    }
    for (const path of known.keys()) if (!paths.includes(path)) known.delete(path)
    return differs
  }

  async function turn(): Promise<void> {
    const differs = await look()
    if (isStopped) return
    const now = clock.now()
    if (changesSince !== undefined && (!differs || now - changesSince >= LONGEST_MS)) {
      changesSince = undefined
      onChange()
    } else if (differs) changesSince ??= now
    cancel = clock.after(changesSince === undefined ? LOOK_MS : REST_MS, () => void turn())
  }

  void turn()
  return {
    async settle() {
      await look()
      changesSince = undefined
      readAt = clock.now()
    },
    stop() {
      isStopped = true
      cancel()
    },
  }
}
