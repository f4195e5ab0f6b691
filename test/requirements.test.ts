import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { REQUIREMENTS } from './requirements.js'

const TEST = fileURLToPath(new URL('.', import.meta.url))

/** The ids in front of titles, `[mcp-origin]` and the like, with the files that they stand in. */
function named(): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const file of readdirSync(TEST, { recursive: true }) as string[]) {
    if (!file.endsWith('.test.ts')) continue
    const text = readFileSync(join(TEST, file), 'utf8')
    for (const [, ids = ''] of text.matchAll(/['"`]((?:\[(?:mcp|jsonrpc|rfc\d+)-[\w.-]+\] )+)/g)) {
      for (const [, id = ''] of ids.matchAll(/\[([^\]]+)\]/g)) {
        found.set(id, [...(found.get(id) ?? []), file])
      }
    }
  }
  return found
}

describe('the requirements', () => {
  it('have a test each', () => {
    const tested = named()
    expect(Object.keys(REQUIREMENTS).filter((id) => !tested.has(id))).toEqual([])
  })

  it('are all that tests name', () => {
    const unknown = [...named()].filter(([id]) => !Object.hasOwn(REQUIREMENTS, id))
    expect(unknown).toEqual([])
  })

  it('have a source to look up and say one thing each', () => {
    for (const { source, text } of Object.values(REQUIREMENTS)) {
      expect(URL.canParse(source)).toBe(true)
      expect(text).toMatch(/^[A-Z].*\.$/)
    }
    const texts = Object.values(REQUIREMENTS).map(({ text }) => text)
    expect(new Set(texts).size).toBe(texts.length)
  })
})
