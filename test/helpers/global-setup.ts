import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'
import { makeKeys } from './key-store.js'

declare module 'vitest' {
  export interface ProvidedContext {
    /** What the build said when it failed; empty when the program is built. */
    buildFailure: string
  }
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const LOCK = join(ROOT, 'node_modules', '.build-lock')

/**
 * Builds the program once before all tests, unless what is built is newer than its source, and makes
 * the keys that they use.
 */
export default async function setup(project: TestProject): Promise<void> {
  await makeKeys()
  project.provide('buildFailure', isFresh() ? '' : await build())
}

/** Builds, one process at a time. */
async function build(): Promise<string> {
  for (let tries = 0; !takeLock(); tries++) {
    if (tries > 300) return 'another build never ended; delete node_modules/.build-lock'
    await wait(200)
  }
  try {
    if (isFresh()) return ''
    await promisify(execFile)('npx', ['tsup', '--no-dts'], { cwd: ROOT })
    return ''
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string }
    return `${stdout}${stderr}` || String(error)
  } finally {
    rmdirSync(LOCK)
  }
}

function takeLock(): boolean {
  try {
    mkdirSync(LOCK)
    return true
  } catch {
    return false
  }
}

function isFresh(): boolean {
  const built = newest(join(ROOT, 'dist'))
  return built > 0 && built > newest(join(ROOT, 'src'))
}

/** Time of the newest file in a folder, milliseconds since the epoch; 0 when there is none. */
function newest(folder: string): number {
  try {
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .reduce((time, entry) => {
        return Math.max(time, statSync(join(entry.parentPath, entry.name)).mtimeMs)
      }, 0)
  } catch {
    return 0
  }
}
