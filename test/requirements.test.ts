import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { PROMISES, REQUIREMENTS } from './requirements.js'

const TEST = fileURLToPath(new URL('.', import.meta.url))

const FILES = (readdirSync(TEST, { recursive: true }) as string[])
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => ({ file, text: readFileSync(join(TEST, file), 'utf8') }))

const DEFINED = [...Object.keys(REQUIREMENTS), ...Object.keys(PROMISES)]

/** The ids in front of titles, `[mcp-origin]` and the like, with the files that they stand in. */
function named(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const { file, text } of FILES) {
    for (const [, ids = ''] of text.matchAll(/['"`]((?:\[[a-z]+\d*-[\w.-]+\] )+)/g)) {
      for (const [, id = ''] of ids.matchAll(/\[([^\]]+)\]/g)) {
        found.set(id, [...(found.get(id) ?? []), file])
      }
    }
  }
  return found
}

describe('requirements and promises', () => {
  it('have a test each', () => {
    const tested = named()
    expect(DEFINED.filter((id) => !tested.has(id))).toEqual([])
  })

  it('are all that tests name', () => {
    const defined = new Set(DEFINED)
    expect(defined.size).toBe(DEFINED.length)
    expect([...named()].filter(([id]) => !defined.has(id))).toEqual([])
  })

  it('are named by nothing else in front of a title', () => {
    const title = /\b(?:it|test|describe)\b[^'"`\n]*\(\s*(['"`])([A-Z]{1,3}\d+(?:\.\d+)*)[ :]/g
    const others = FILES.flatMap(({ file, text }) =>
      [...text.matchAll(title)].map(([, , id]) => `${file}: ${id}`),
    )
    expect(others).toEqual([])
  })

  it('say one thing each, and requirements have a source to look up', () => {
    for (const { source } of Object.values(REQUIREMENTS)) expect(URL.canParse(source)).toBe(true)
    const texts = [
      ...Object.values(REQUIREMENTS).map(({ text }) => text),
      ...Object.values(PROMISES),
    ]
    for (const text of texts) expect(text).toMatch(/^[A-Z].*\.$/)
    expect(new Set(texts).size).toBe(texts.length)
  })
})
