import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** Arguments of node that load a script before the program. */
function preload(text: string): string[] {
  const path = join(mkdtempSync(join(tmpdir(), 'preload-')), 'preload.mjs')
  writeFileSync(path, text)
  return ['--import', pathToFileURL(path).href]
}

/** Lets time pass faster in a process: both its clock and its timers. */
export function fasterTime(factor: number): string[] {
  return preload(`
    const { setTimeout: wait } = globalThis
    const now = Date.now
    const start = now()
    Date.now = () => Math.floor(start + (now() - start) * ${factor})
    globalThis.setTimeout = (call, ms = 0, ...args) => wait(call, ms / ${factor}, ...args)
  `)
}

/** Puts the clock of a process forward on SIGUSR2, as it is after a machine slept. */
export function jumpingClock(ms: number): string[] {
  return preload(`
    const now = Date.now
    let ahead = 0
    Date.now = () => now() + ahead
    process.on('SIGUSR2', () => { ahead += ${ms} })
  `)
}
