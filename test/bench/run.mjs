#!/usr/bin/env node
// Compiles the bench to a folder that is removed at the end, and runs it.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'tsup'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '..', '..')
const cache = join(root, 'node_modules', '.cache')
mkdirSync(cache, { recursive: true })
const folder = mkdtempSync(join(cache, 'bench-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130))

const scripts = [
  'main',
  'target',
  'load/loader',
  'relays/raw',
  'relays/full',
  'relays/sdk',
  'relays/bridge',
]
await build({
  config: false,
  entry: Object.fromEntries(
    scripts.map((script) => [script.replace(/^.*\//, ''), join(here, `${script}.ts`)]),
  ),
  outDir: folder,
  format: 'esm',
  target: 'node20',
  platform: 'node',
  silent: true,
})

const { bench } = await import(pathToFileURL(join(folder, 'main.js')).href)
const bin = join(root, 'bin', 'mcp-descope-proxy.js')
process.exit(await bench(process.argv.slice(2), { folder, bin, root }))
