import { readFile } from 'node:fs/promises'

/**
 * Returns when a process started, as an opaque word that tells it from a later process with the
 * same id. `undefined` where the system does not say (only Linux does, in `/proc`).
 */
export async function processStart(pid: number): Promise<string | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => undefined)
  // The second field is the program's name in parentheses and may hold spaces and parentheses.
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19]
}

/** Returns a word that changes with each start of the machine; `undefined` outside Linux. */
export async function bootId(): Promise<string | undefined> {
  const text = await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => undefined)
  return text?.trim()
}
