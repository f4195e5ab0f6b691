import { describe, expect, it } from 'vitest'
import { createRefusalLimit } from '../../../src/serve/request-log.js'
import { createManualClock } from '../../helpers/runtime.js'

function setUp() {
  const clock = createManualClock()
  const told: Record<string, number>[] = []
  const isLogged = createRefusalLimit(clock, (left) => told.push(Object.fromEntries(left)))
  const many = (refusal: string, remote: string, count: number) =>
    Array.from({ length: count }, () => isLogged(refusal, remote)).filter(Boolean).length
  return { clock, told, many }
}

describe('the limit of records about refusals', () => {
  it('lets ten a minute pass for each reason and address, and tells the rest once', async () => {
    const { clock, told, many } = setUp()
    expect(many('host', '192.0.2.1', 100)).toBe(10)
    expect(many('origin', '192.0.2.1', 12)).toBe(10)
    expect(many('host', '192.0.2.2', 1)).toBe(1)
    await clock.advance(60_000)
    expect(told).toEqual([{ host: 90, origin: 2 }])
    expect(many('host', '192.0.2.1', 5)).toBe(5)
    await clock.advance(120_000)
    expect(told).toHaveLength(1)
    expect(clock.pending).toBe(0)
  })

  it('lets 200 a minute pass of all, however many addresses they come from', async () => {
    const { clock, told, many } = setUp()
    let logged = 0
    for (let i = 0; i < 5_000; i++) logged += many('host', `2001:db8::${i.toString(16)}`, 1)
    expect(logged).toBe(200)
    await clock.advance(60_000)
    expect(told).toEqual([{ host: 4_800 }])
  })
})
