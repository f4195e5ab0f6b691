import { describe, expect, it } from 'vitest'
import { createBreaker } from '../../../src/gateway/breaker.js'

function breakerAt(failures: number, seconds = 5) {
  const clock = { time: 1_000_000, now: () => clock.time }
  const breaker = createBreaker({ failures, seconds }, clock)
  if (breaker === undefined) throw new Error('there is none')
  return { clock, breaker }
}

describe('the breaker', () => {
  it('opens after failures one after the other, and says so once', () => {
    const { breaker } = breakerAt(3)
    expect([breaker.failed(), breaker.failed()]).toEqual([false, false])
    breaker.answered()
    expect([breaker.failed(), breaker.failed(), breaker.wait()]).toEqual([false, false, 0])
    expect([breaker.failed(), breaker.failed(), breaker.isOpen()]).toEqual([true, false, true])
    expect(breaker.wait()).toBe(5_000)
  })

  it('lets one request through in each pause, though the one before has not ended', () => {
    const { clock, breaker } = breakerAt(1, 2)
    breaker.failed()
    clock.time += 1_500
    expect(breaker.wait()).toBe(500)
    clock.time += 500
    expect([breaker.wait(), breaker.wait(), breaker.wait()]).toEqual([0, 2_000, 2_000])
    clock.time += 2_000
    expect([breaker.wait(), breaker.wait()]).toEqual([0, 2_000])
    // the first of them failed only now
    expect(breaker.failed()).toBe(false)
    breaker.answered()
    expect([breaker.wait(), breaker.wait(), breaker.isOpen()]).toEqual([0, 0, false])
  })

  it('is not kept open by a clock that was set back', () => {
    const { clock, breaker } = breakerAt(1)
    breaker.failed()
    clock.time -= 3_600_000
    expect(breaker.wait()).toBe(5_000)
  })

  it('does not exist without failures', () => {
    expect(createBreaker({ failures: 0, seconds: 5 }, { now: () => 0 })).toBeUndefined()
  })
})
