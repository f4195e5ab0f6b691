import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import tools from '../tools.json' with { type: 'json' }

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/tools', import.meta.url))

/**
 * Installs a tool that is too large to be a dependency, once, in a folder of its own.
 *
 * @param name Beginning of an entry of `test/tools.json`.
 * @returns The tool's `node_modules`; `undefined` when npm cannot give it, which is told.
 */
export async function installTool(name: string): Promise<string | undefined> {
  const tool = tools.find((entry) => entry.startsWith(name))
  if (tool === undefined) throw new Error(`test/tools.json has no ${name}`)
  const folder = join(CACHE, tool)
  const modules = join(folder, 'node_modules')
  if (existsSync(join(modules, '.package-lock.json'))) return modules
  // several test files may want it at once: each installs aside, and the first that is done wins
  const aside = `${folder}-${process.pid}`
  const args = ['install', '--no-audit', '--no-fund', '--prefix', aside, tool]
  try {
    await mkdir(aside, { recursive: true })
    await promisify(execFile)('npm', args, {
      env: { ...process.env, npm_config_loglevel: 'error' },
    })
    await rename(aside, folder).catch(() => undefined)
    return modules
  } catch {
    console.warn(`skipped: what needs ${tool} (npm cannot give it)`)
    return undefined
  } finally {
    await rm(aside, { recursive: true, force: true })
  }
}
