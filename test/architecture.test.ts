import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

const PAGE = readFileSync(`${ROOT}docs/architecture.md`, 'utf8')

const named = [...PAGE.matchAll(/`((?:src|test)\/[\w./-]+)`/g)].map(([, path]) => path as string)

/** The files of the rows of a section's table. */
function walk(title: string): string[] {
  const section = PAGE.split(/^## /m).find((text) => text.startsWith(title)) ?? ''
  return [...section.matchAll(/^\| `(src\/[\w./-]+)`/gm)].map(([, path]) => path as string)
}

describe('docs/architecture.md', () => {
  it('names files and folders that exist', () => {
    expect(named.length).toBeGreaterThan(100)
    expect(named.filter((path) => !existsSync(ROOT + path))).toEqual([])
  })

  it('has a row for each folder of the tree', () => {
    const folders = readdirSync(`${ROOT}src`, { withFileTypes: true }).filter((it) =>
      it.isDirectory(),
    )
    expect(walk('# Architecture').sort()).toEqual(folders.map(({ name }) => `src/${name}`).sort())
  })

  it('keeps the ways short: at most 28 files for a call, and 50 for a first sign-in', () => {
    const call = walk('A call through `serve`')
    const signIn = walk('A first sign-in through `stdio`')
    expect(call.length).toBeGreaterThan(20)
    expect(call.length).toBeLessThanOrEqual(28)
    expect(signIn.length).toBeGreaterThan(30)
    expect(signIn.length).toBeLessThanOrEqual(50)
    expect(new Set(signIn).size).toBe(signIn.length)
  })
})
