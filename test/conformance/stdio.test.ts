import { fileURLToPath } from 'node:url'
import { describe, expect, inject, it } from 'vitest'
import { OTHER_SIGN_INS } from './expected.js'
import { type Era, playHost } from './host.js'
import { startStage } from './stage.js'
import { installSuite, type Outcome, type Revision, runSuite } from './suite/run.js'

const PROGRAM = await installSuite()
const DRIVER = fileURLToPath(new URL('suite/driver.mjs', import.meta.url))

/** Runs the suite's client scenarios against the bridge, for a host of this era. */
async function run(revision: Revision, era: Era): Promise<Outcome> {
  const stage = await startStage((scene) => playHost(scene, era))
  try {
    const command = `"${process.execPath}" "${DRIVER}" ${stage.origin}`
    const args = ['--command', command, '--timeout', '240000']
    return await runSuite(PROGRAM ?? '', 'client', revision, args)
  } finally {
    await stage.close()
  }
}

describe.skipIf(PROGRAM === undefined)('the conformance suite', { timeout: 300_000 }, () => {
  it.each([
    { revision: '2025-11-25', era: 'older', scored: 18 },
    { revision: '2026-07-28', era: 'stateless', scored: 32 },
    { revision: '2026-07-28', era: 'older', scored: 32 },
  ] as const)(
    '[mcp-conformance-client] is passed by the bridge with $revision for a host of the $era era',
    async (row) => {
      expect(inject('buildFailure')).toBe('')
      const outcome = await run(row.revision, row.era)
      expect(outcome.problems).toEqual(OTHER_SIGN_INS)
      expect(outcome.scored).toHaveLength(row.scored)
      expect(outcome.scored.filter((name) => name in OTHER_SIGN_INS)).toEqual([])
      expect([...outcome.scenarios.keys()]).toEqual(expect.arrayContaining([...outcome.scored]))
    },
  )
})
