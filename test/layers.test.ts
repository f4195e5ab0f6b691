import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const SRC = fileURLToPath(new URL('../src', import.meta.url))
const MAX_LINES = 300

/** What each layer may import. `config` here means values; its types may be named everywhere. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  util: [],
  http: ['util'],
  mcp: ['http', 'util'],
  auth: ['http', 'util'],
  config: ['util'],
  gateway: ['auth', 'mcp', 'http', 'util'],
  serve: ['gateway', 'auth', 'mcp', 'http', 'config', 'util'],
  stdio: ['gateway', 'auth', 'mcp', 'http', 'config', 'util'],
  login: ['gateway', 'auth', 'mcp', 'http', 'config', 'util'],
  hosts: ['gateway', 'auth', 'mcp', 'http', 'config', 'util'],
  diagnose: ['gateway', 'auth', 'mcp', 'http', 'config', 'util'],
  demo: ['gateway', 'auth', 'mcp', 'http', 'config', 'util'],
  cli: [
    'serve',
    'stdio',
    'login',
    'hosts',
    'diagnose',
    'demo',
    'gateway',
    'auth',
    'mcp',
    'http',
    'config',
    'util',
  ],
  // the two entries stand above all
  'cli.ts': ['cli', 'util'],
  'index.ts': ['serve', 'hosts', 'config', 'util'],
}

const files = (readdirSync(SRC, { recursive: true }) as string[])
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join(SRC, name), 'utf8') }))

const layerOf = (name: string) => name.split('/')[0] as string

/** The files that a file imports from, whether at once, later, or for types only. */
function importsOf({ name, text }: { name: string; text: string }): string[] {
  const found = text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)
  return [...found].map(([, path]) => {
    return relative(SRC, join(SRC, dirname(name), path as string)).replace(/\.js$/, '.ts')
  })
}

describe('the layers', () => {
  it('are all known', () => {
    const layers = new Set(files.map(({ name }) => layerOf(name)))
    expect([...layers].sort()).toEqual(Object.keys(MAY_IMPORT).sort())
  })

  it('import only what is below them', () => {
    const wrong = files.flatMap((file) => {
      const layer = layerOf(file.name)
      const allowed = MAY_IMPORT[layer] ?? []
      return importsOf(file)
        .filter((path) => layerOf(path) !== layer && !allowed.includes(layerOf(path)))
        .filter((path) => path !== 'config/types.ts' || layer === 'util')
        .map((path) => `${file.name} imports ${path}`)
    })
    expect(wrong).toEqual([])
  })

  it('leave the process to cli.ts', () => {
    const touching = files
      .filter(({ text }) => /\bprocess\.(?!kill\(pid)\w/.test(withoutComments(text)))
      .filter(({ text }) => !/\bprocess: ProcessPart\b/.test(text))
      .map(({ name }) => name)
    expect(touching).toEqual(['cli.ts', 'serve/workers.ts'])
    const workers = readFileSync(join(SRC, 'serve/workers.ts'), 'utf8')
    expect(workers.match(/\bprocess\.\w+/g)).toEqual(['process.kill'])
  })

  it(`keep files within ${MAX_LINES} lines`, () => {
    const long = files
      .map(({ name, text }) => ({ name, lines: text.trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > MAX_LINES)
    expect(long).toEqual([])
  })
})

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
}
