import { describe, expect, it } from 'vitest'
import { type Attack, attacksOn, writeAttack } from '../helpers/patterns/attacks.js'
import { collectPatterns, type Pattern } from '../helpers/patterns/collect.js'
import { growthOf, runLimited } from '../helpers/patterns/growth.js'

/** Those that are built while the program runs: the expression, and what it makes. */
const BUILT: Record<string, readonly RegExp[]> = {
  'new RegExp(`^(.*?)(?<!/)/+\\\\.well-known/${DOCUMENTS}/*$`)': [
    /^(.*?)(?<!\/)\/+\.well-known\/(openid-configuration|oauth-authorization-server)\/*$/,
  ],
  'new RegExp(`^/+\\\\.well-known/${DOCUMENTS}(/.*)$`)': [
    /^\/+\.well-known\/(openid-configuration|oauth-authorization-server)(\/.*)$/,
  ],
  'new RegExp(`^(${TOKEN})[ \\\\t]*=[ \\\\t]*(?:"((?:[^"\\\\\\\\]|\\\\\\\\.)*)"|(${BARE}))`)': [
    /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",=][^\s",]*))/,
  ],
  'new RegExp(`^(${TOKEN})(?:[ \\\\t]+|(?=,|$))`)': [
    /^([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]+|(?=,|$))/,
  ],
  'new RegExp(String.raw`^\\s{0,9}\\{\\s{0,9}(?:${VERSION}\\s{0,9},\\s{0,9})?${ID}\\s{0,9},`)': [
    /^\s{0,9}\{\s{0,9}(?:"jsonrpc"\s{0,9}:\s{0,9}"2\.0"\s{0,9},\s{0,9})?"id"\s{0,9}:\s{0,9}("[^"\\]{0,128}"|-?\d{1,20}|null)\s{0,9},/,
  ],
  'new RegExp(String.raw`,\\s{0,9}${ID}\\s{0,9}(?:,\\s{0,9}${VERSION}\\s{0,9})?\\}\\s{0,9}$`)': [
    /,\s{0,9}"id"\s{0,9}:\s{0,9}("[^"\\]{0,128}"|-?\d{1,20}|null)\s{0,9}(?:,\s{0,9}"jsonrpc"\s{0,9}:\s{0,9}"2\.0"\s{0,9})?\}\s{0,9}$/,
  ],
}

const patterns = collectPatterns(['src', 'bin'], BUILT)

/**
 * Hostile text is tried short first, and in full length where it was the slowest. The shorter of
 * two times counts, since one may hold a pause or the compilation of the expression.
 */
const SHORT = 2_000
const SHORT_ROUNDS = 2
const SLOWEST = 4
/** Ends the search, in milliseconds, where one short text would take for ever. */
const LONGEST_SEARCH = 5_000
const MOST_GROWTH = 3

function use({ mode }: Pick<Pattern, 'mode'>, expression: RegExp, text: string): void {
  if (mode === 'replace') text.replace(expression, '')
  else if (mode === 'split') text.split(expression)
  else expression.exec(text)
}

type Growth = [number, Attack | undefined]

/** The program has some of them in several places. */
const known = new Map<string, Growth>()

function worstGrowth(pattern: Pick<Pattern, 'mode'>, expression: RegExp): Growth {
  const key = `${pattern.mode} ${expression}`
  const growth = known.get(key) ?? findWorstGrowth(pattern, expression)
  known.set(key, growth)
  return growth
}

/** How work grows from 50 to 100 KB on the hostile text that was the worst. */
function findWorstGrowth(pattern: Pick<Pattern, 'mode'>, expression: RegExp): Growth {
  const tried: { attack: Attack; time: number }[] = []
  const ended = runLimited(() => {
    for (const attack of attacksOn(expression)) {
      const text = writeAttack(attack, SHORT)
      const entry = { attack, time: Infinity }
      tried.push(entry)
      for (let round = 0; round < SHORT_ROUNDS; round++) {
        const before = performance.now()
        use(pattern, expression, text)
        entry.time = Math.min(entry.time, performance.now() - before)
      }
    }
  }, LONGEST_SEARCH)
  if (!ended) return [Infinity, tried.at(-1)?.attack]
  tried.sort((a, b) => b.time - a.time)
  let worst: Growth = [0, undefined]
  for (const { attack } of tried.slice(0, SLOWEST)) {
    const growth = growthOf(
      (length) => writeAttack(attack, length),
      (text) => use(pattern, expression, text),
    )
    if (growth > worst[0]) worst = [growth, attack]
    if (growth > MOST_GROWTH) break
  }
  return worst
}

describe('the regular expressions of the program', () => {
  it('are all known, also those that are built while it runs', () => {
    expect(patterns.length).toBeGreaterThan(100)
    expect(patterns.filter(({ expressions }) => expressions.length === 0)).toEqual([])
  })

  it.each(patterns.map((pattern) => [pattern.place, pattern.text, pattern] as const))(
    'take linear time on hostile text of 100 KB: %s %s',
    (_place, _text, pattern) => {
      for (const expression of pattern.expressions) {
        const [growth, attack] = worstGrowth(pattern, expression)
        expect(growth, JSON.stringify(attack)).toBeLessThan(MOST_GROWTH)
      }
    },
  )
})

describe('the search for slow regular expressions', () => {
  it.each([
    [/\/+$/],
    [/(\w+)\s*:\s*(.*?)\s*$/],
    [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g],
    [/"((?:\\.|[^"])*)"/g],
    [/^(["'])((?:\\.|(?!\1).)*)\1,?$/],
    [/(?:ab)+c/],
  ])('finds %s', (expression) => {
    const mode = expression.global ? 'replace' : 'exec'
    expect(worstGrowth({ mode }, expression)[0]).toBeGreaterThan(MOST_GROWTH)
  })

  it.each([[/^\w+$/], [/(?<!\/)\/+$/], [/"(?:[^"\\]|\\.)*"?/g], [/\r?\n/]])(
    'lets %s pass',
    (expression) => {
      const mode = expression.global ? 'replace' : 'exec'
      expect(worstGrowth({ mode }, expression)[0]).toBeLessThan(MOST_GROWTH)
    },
  )
})
