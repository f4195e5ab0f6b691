import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** On Windows npm is a batch file, which only a shell starts. */
const SHELL = { cwd: ROOT, shell: process.platform === 'win32' }

export interface PackedFolder {
  readonly path: string
  /** The packed program, as npm would publish it. */
  readonly tarball: string
  remove(): Promise<void>
}

/**
 * Makes a folder outside the project that holds the packed program, and with it what one of our
 * folders holds; dependencies on the program are led to the tarball. `PACKED_TARBALL` names one
 * that is to be tested; without it, the program is packed.
 */
export async function createPackedFolder(template?: string): Promise<PackedFolder> {
  const path = await mkdtemp(join(tmpdir(), 'packed-'))
  const store = await mkdtemp(join(tmpdir(), 'tarball-'))
  const given = process.env['PACKED_TARBALL']
  if (!given) {
    await run('npm', ['pack', '--ignore-scripts', '--pack-destination', store], SHELL)
  }
  const tarball = given || join(store, (await readdir(store))[0] ?? '')
  if (template !== undefined) await cp(join(ROOT, template), path, { recursive: true })
  const file = join(path, 'package.json')
  const manifest =
    template === undefined
      ? { private: true, type: 'module' }
      : JSON.parse(await readFile(file, 'utf8'))
  const dependencies = { ...manifest.dependencies, 'mcp-descope-proxy': `file:${tarball}` }
  await writeFile(file, JSON.stringify({ ...manifest, dependencies }))
  return {
    path,
    tarball,
    async remove() {
      for (const folder of [path, store]) await rm(folder, { recursive: true, force: true })
    },
  }
}
