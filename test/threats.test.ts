import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

interface Row {
  threat: string
  places: string[]
  test: string
  named: { file: string; title: string }[]
}

const rows: Row[] = read('SECURITY.md')
  .split('\n')
  .filter((line) => /^\| (?!Threat |---)/.test(line))
  .map((line) => {
    const [threat = '', , place = '', test = ''] = line.slice(2, -2).split(' | ')
    const places = [...place.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file)
    const tests = [...test.matchAll(/`([^`]+)` › `([^`]+)`/g)]
    return {
      threat,
      places,
      test,
      named: tests.map(([, file = '', title = '']) => ({ file, title })),
    }
  })

/** Finds a title as the source writes it, `%s` and the like included. */
function isTitle(text: string, title: string): boolean {
  const quoted = ["'", '"', '`'].map(
    (quote) => quote + title.replaceAll(quote, `\\${quote}`) + quote,
  )
  return quoted.some((literal) => text.includes(literal))
}

describe('the threats of SECURITY.md', () => {
  it('are many, each told once', () => {
    expect(rows.length).toBeGreaterThan(45)
    const threats = rows.map(({ threat }) => threat.toLowerCase())
    expect(threats.filter((threat, i) => threats.indexOf(threat) !== i)).toEqual([])
  })

  it.each(rows.map((row) => [row.threat, row] as const))(
    '%s: its tests exist, and where it is stopped',
    (_threat, { named, places, test }) => {
      if (!test.startsWith('Does not apply')) expect(named).not.toEqual([])
      for (const place of places) expect(existsSync(join(ROOT, place)), place).toBe(true)
      for (const { file, title } of named) {
        expect(file).toMatch(/^test\/.*\.test\.ts$/)
        expect(isTitle(read(file), title), `${file} › ${title}`).toBe(true)
      }
    },
  )

  it('are linked from the README and come with the package', () => {
    expect(read('README.md')).toContain('(SECURITY.md)')
    expect(JSON.parse(read('package.json')).files).toContain('SECURITY.md')
  })
})
