import { describe, expect, it, vi } from 'vitest'
import { createBackoff, parseRetryAfter, singleFlight, sleep } from '../../../src/util/async.js'
import { createManualClock } from '../../helpers/runtime.js'

describe('sleep', () => {
  it('ends when the time has passed, and not before', async () => {
    const clock = createManualClock()
    const woken = vi.fn()
    const asleep = sleep(clock, 100).then(woken)
    await clock.advance(99)
    expect(woken).not.toHaveBeenCalled()
    await clock.advance(1)
    await asleep
    expect(woken).toHaveBeenCalledTimes(1)
  })

  it('ends at once when the signal aborts, and leaves no timer behind', async () => {
    const clock = createManualClock()
    const { signal, ...controller } = abortable()
    const asleep = sleep(clock, 100, signal)
    expect(clock.pending).toBe(1)
    controller.abort()
    await asleep
    expect(clock.pending).toBe(0)
  })

  it('does not begin when the signal has aborted', async () => {
    const clock = createManualClock()
    await sleep(clock, 100, AbortSignal.abort())
    expect(clock.pending).toBe(0)
  })

  it('leaves no listener at a signal that lives longer', async () => {
    const clock = createManualClock()
    const { signal } = abortable()
    const added = vi.spyOn(signal, 'addEventListener')
    const removed = vi.spyOn(signal, 'removeEventListener')
    const asleep = sleep(clock, 100, signal)
    await clock.advance(100)
    await asleep
    expect(removed.mock.calls.map(([, listener]) => listener)).toEqual(
      added.mock.calls.map(([, listener]) => listener),
    )
    expect(added).toHaveBeenCalledTimes(1)
  })
})

describe('singleFlight', () => {
  it('runs once for all who come while it runs, and again for who comes later', async () => {
    let finish = (_value: number) => {}
    const task = vi.fn(
      () =>
        new Promise<number>((resolve) => {
          finish = resolve
        }),
    )
    const run = singleFlight(task)
    const all = [run(), run(), run()]
    expect(task).toHaveBeenCalledTimes(1)
    finish(7)
    expect(await Promise.all(all)).toEqual([7, 7, 7])
    const later = run()
    finish(8)
    expect(await later).toBe(8)
    expect(task).toHaveBeenCalledTimes(2)
  })

  it('gives a failure to all who wait, and tries again for the next', async () => {
    const task = vi.fn<() => Promise<string>>()
    task.mockRejectedValueOnce(new Error('broken')).mockResolvedValueOnce('fine')
    const run = singleFlight(task)
    const failed = await Promise.allSettled([run(), run()])
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await run()).toBe('fine')
    expect(task).toHaveBeenCalledTimes(2)
  })
})

function abortable() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

describe('createBackoff', () => {
  it('[bridge-reopens-stream] grows from the first to the last pause, with up to half as much by chance', () => {
    const pauses = (random: number) => {
      const backoff = createBackoff(1_000, 60_000, () => random)
      return Array.from({ length: 8 }, () => backoff.next())
    }
    expect(pauses(0)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    expect(pauses(1).slice(0, 2)).toEqual([1_500, 3_000])
    expect(Math.max(...pauses(1))).toBe(60_000)
  })
})

describe('parseRetryAfter', () => {
  const now = Date.UTC(2026, 0, 1)
  it.each([
    ['5', 5_000],
    ['0', 0],
    ['999999', 3_600_000],
    ['Thu, 01 Jan 2026 00:00:10 GMT', 10_000],
    ['Thu, 01 Jan 2020 00:00:10 GMT', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['soon', undefined],
    ['-5', undefined],
    ['2026', 2_026_000],
    ['5 s', undefined],
    ['Thu, at noon', undefined],
    [null, undefined],
    [undefined, undefined],
  ])('reads %j as %j', (value, ms) => {
    expect(parseRetryAfter(value, now)).toBe(ms)
  })
})
