import { execFile } from 'node:child_process'
import { cpSync, readdirSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { createFolder } from '../helpers/folder.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

it('says of a part that is gone that the program may have been updated', async () => {
  const folder = createFolder()
  for (const part of ['bin', 'dist', 'package.json']) {
    cpSync(join(ROOT, part), join(folder, part), { recursive: true })
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
  const parts = readdirSync(join(folder, 'dist')).filter((name) => name.startsWith('config-'))
  for (const name of parts) rmSync(join(folder, 'dist', name))
  const argv = [join(folder, 'bin', 'mcp-descope-proxy.js'), 'config', 'show']
  const failed = await promisify(execFile)(process.execPath, argv).catch((error) => error)
  expect(failed.stderr).toMatch(/^error: A part of this program is missing\. It was updated/)
  expect(failed.stderr).toContain(parts[0])
  expect(failed.stderr).not.toContain('a mistake in the program')
})
