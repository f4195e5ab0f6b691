import { describe, expect, it } from 'vitest'
import { type Check, fail, pass, skip, warn } from '../../../src/diagnose/check.js'
import { runChecks } from '../../../src/diagnose/run.js'

const clock = { now: () => 0 }

const clean = (text: string) => text

const noOptions = { clock, clean, only: [], leaveOut: [], baseline: undefined }

describe('runChecks', () => {
  const check = (id: string, needs: string[], verdict: Check['run']): Check => ({
    id,
    needs,
    run: verdict,
  })

  it('skips what a failure makes pointless, however far away, and names the first', async () => {
    const { reports, failures } = await runChecks(
      [
        check('a', [], async () => fail('broken', 'mend it', 'TARGET_UNREACHABLE')),
        check('b', ['a'], async () => pass('never')),
        check('c', ['b'], async () => pass('never')),
        check('d', [], async () => skip('not here')),
        check('e', ['d'], async () => pass('fine')),
      ],
      noOptions,
    )
    expect(reports.map(({ id, outcome }) => `${id} ${outcome}`)).toEqual([
      'a fail',
      'b skip',
      'c skip',
      'd skip',
      'e pass',
    ])
    expect(reports[2]?.detail).toBe('not checked, because a failed')
    expect(failures).toEqual(['TARGET_UNREACHABLE'])
  })

  it('never lets an exception pass', async () => {
    const broken = check('a', [], () => Promise.reject(new TypeError('x is undefined')))
    const { reports, failures } = await runChecks([broken], noOptions)
    expect(reports).toMatchObject([
      { outcome: 'fail', detail: 'the check itself failed: x is undefined' },
    ])
    expect(failures).toEqual(['CHECK_FAILED'])
  })

  it('refuses to run nothing', async () => {
    const options = { ...noOptions, leaveOut: ['*'] }
    await expect(runChecks([check('a', [], async () => pass(''))], options)).rejects.toMatchObject({
      code: 'USAGE',
    })
  })

  it('takes a warning that is expected as such', async () => {
    const baseline = { ids: new Set(['a']), file: 'f' }
    const checks = [check('a', [], async () => warn('odd', 'mend it'))]
    const { reports, failures } = await runChecks(checks, { ...noOptions, baseline })
    expect(reports).toMatchObject([{ outcome: 'warn', expected: true }])
    expect(failures).toEqual([])
  })
})
