import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { findRisks } from './helpers/member-access.js'

const SRC = fileURLToPath(new URL('../src', import.meta.url))
/** Compiling the whole source takes a while on a busy machine. */
const SLOW = 120_000

/** What is right without the helpers of `util/json.ts`, with the reason. */
const RIGHT: readonly string[] = [
  // the helpers themselves
  'util/json.ts Object.assign(Object.create(null), from)',
  'util/json.ts object[member]',
  // names that are only compared
  'mcp/message.ts for (const name in message) {',
  // an object without a prototype
  'auth/oauth/parse-challenge.ts current.parameters[name]',
  // members that are written out here, onto an object made here
  'upstream/upstream-error.ts Object.assign(new Error(message), { code })',
  "util/private-files.ts Object.assign(new Error('no folder'), { code: 'ENOTDIR' })",
  'util/bounded-file.ts Object.assign(new Error(message), { code })',
  "cli/check-report.ts Object.assign(new Error(path), { code: 'EISDIR' })",
  'index.ts Object.assign(handler, { ready, close })',
  // our own settings, checked, by members that are written out
  'gateway/target.ts Object.assign(target, { [member]: from[member] })',
  'serve/reload/server-share.ts Object.assign(limits, next.limits)',
  'serve/reload/server-share.ts Object.assign(timeouts, next.timeouts)',
  'serve/server.ts Object.assign(server, serverTimes(next))',
]

describe('names that come from outside', () => {
  it(
    'reach members of objects only through ownMember and setMember',
    () => {
      const files = (readdirSync(SRC, { recursive: true }) as string[])
        .filter((name) => name.endsWith('.ts'))
        .map((name) => join(SRC, name))
      const found = findRisks(files, SRC)
      const wrong = found.filter(({ file, code }) => !RIGHT.includes(`${file} ${code}`))
      expect(wrong).toEqual([])
      const used = new Set(found.map(({ file, code }) => `${file} ${code}`))
      expect([...used].sort()).toEqual([...RIGHT].sort())
    },
    SLOW,
  )

  it(
    'are found in a merge by assignment and the like',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'member-access-'))
      const file = join(folder, 'merge.ts')
      const risky = [
        'into[name] ||= from[name]',
        'delete into[name]',
        'Object.assign(into, from)',
        'for (const key in from) into.size = key',
        'into.known = name in from',
        "into.known = 'toString' in from",
      ]
      const fine = [
        "into['known'] = 'known' in from",
        'into.list = list[0]',
        'into.known = { ...from, [name]: 1 }',
        'into.known = Object.fromEntries(Object.entries(from))',
        'into.known = env[name]',
      ]
      const type = 'Record<string, unknown>'
      writeFileSync(
        file,
        `export function merge(into: ${type}, from: ${type}, name: string, list: string[], env: Record<string, string>) {\n${[...risky, ...fine].join('\n')}\n}\n`,
      )
      const lines = findRisks([file], folder).map(({ line }) => line)
      rmSync(folder, { recursive: true })
      expect([...new Set(lines)]).toEqual(risky.map((_code, at) => at + 2))
    },
    SLOW,
  )
})
