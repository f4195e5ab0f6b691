import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const SRC = fileURLToPath(new URL('../src', import.meta.url))
const MAX_LINES = 300

/** What the files of a folder may import besides each other; `docs/architecture.md` has the drawing. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  util: [],
  mcp: ['util'],
  upstream: ['mcp', 'util'],
  auth: ['util'],
  config: ['util'],
  audit: ['auth', 'util'],
  gateway: ['auth', 'upstream', 'mcp', 'util'],
  'sign-in': ['auth', 'util'],
  hosts: ['util'],
  demo: ['util'],
  bridge: ['gateway', 'auth', 'upstream', 'mcp', 'util'],
  diagnose: ['auth', 'upstream', 'mcp', 'util'],
  serve: ['gateway', 'auth', 'upstream', 'mcp', 'util', 'config', 'audit'],
  usecases: [
    'bridge',
    'sign-in',
    'diagnose',
    'hosts',
    'gateway',
    'auth',
    'upstream',
    'mcp',
    'config',
    'audit',
    'util',
  ],
  cli: [
    'usecases',
    'serve',
    'demo',
    'bridge',
    'sign-in',
    'diagnose',
    'hosts',
    'gateway',
    'auth',
    'upstream',
    'mcp',
    'config',
    'audit',
    'util',
  ],
  // the two entries stand above all
  'cli.ts': ['cli', 'util'],
  'index.ts': ['serve', 'hosts', 'config', 'util'],
}

interface SourceFile {
  readonly name: string
  readonly text: string
}

const files: readonly SourceFile[] = (readdirSync(SRC, { recursive: true }) as string[])
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({
    name: name.replaceAll('\\', '/'),
    text: readFileSync(join(SRC, name), 'utf8'),
  }))

const layerOf = (name: string) => name.split('/')[0] as string

/** The files that a file imports from, whether at once, later, or for types only. */
function importsOf({ name, text }: SourceFile): string[] {
  const found = text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)
  return [...found].map(([, path]) => {
    return relative(SRC, join(SRC, dirname(name), path as string))
      .replaceAll('\\', '/')
      .replace(/\.js$/, '.ts')
  })
}

/** The groups of files that import each other in a circle (Tarjan's strongly connected components). */
function circles(): string[][] {
  const imports = new Map(files.map((file) => [file.name, importsOf(file)]))
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const path: string[] = []
  const found: string[][] = []
  const visit = (name: string): number => {
    const number = order.size
    order.set(name, number)
    lowest.set(name, number)
    path.push(name)
    for (const next of imports.get(name) ?? []) {
      if (!imports.has(next)) continue
      const reached = order.has(next)
        ? path.includes(next)
          ? order.get(next)
          : undefined
        : visit(next)
      lowest.set(name, Math.min(lowest.get(name) as number, reached ?? Number.POSITIVE_INFINITY))
    }
    if (lowest.get(name) === number) {
      const circle = path.splice(path.indexOf(name))
      if (circle.length > 1) found.push(circle)
    }
    return lowest.get(name) as number
  }
  for (const name of imports.keys()) if (!order.has(name)) visit(name)
  return found
}

describe('the layers', () => {
  it('are all known', () => {
    const layers = new Set(files.map(({ name }) => layerOf(name)))
    expect([...layers].sort()).toEqual(Object.keys(MAY_IMPORT).sort())
  })

  it('import only what is below them', () => {
    const wrong = files.flatMap((file) => {
      const layer = layerOf(file.name)
      return importsOf(file)
        .filter((path) => layerOf(path) !== layer && !MAY_IMPORT[layer]?.includes(layerOf(path)))
        .map((path) => `${file.name} imports ${path}`)
    })
    expect(wrong).toEqual([])
  })

  it('have no import circles, type-only imports included', () => {
    expect(circles()).toEqual([])
  })

  it('export no name twice', () => {
    const places = new Map<string, string[]>()
    const declared =
      /^export (?:declare )?(?:abstract )?(?:async )?(?:function\*?|class|interface|type|const|let|enum) (\w+)/gm
    for (const { name: file, text } of files) {
      const names = new Set([...text.matchAll(declared)].map(([, name]) => name as string))
      for (const name of names) places.set(name, [...(places.get(name) ?? []), file])
    }
    expect([...places].filter(([, in_]) => in_.length > 1)).toEqual([])
  })

  it('leave the process to cli.ts', () => {
    const touching = files
      .filter(({ text }) => /\bprocess\.(?!kill\(pid)\w/.test(withoutComments(text)))
      .filter(({ text }) => !/\bprocess: ProcessPart\b/.test(text))
      .map(({ name }) => name)
    expect(touching).toEqual(['cli.ts', 'serve/workers.ts'])
    const workers = readFileSync(join(SRC, 'serve/workers.ts'), 'utf8')
    expect(new Set(workers.match(/\bprocess\.\w+/g))).toEqual(new Set(['process.kill']))
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
