import { describe, expect, it } from 'vitest'
import type { GatewayOutcome } from '../../../src/bridge/gateway-client.js'
import { watchLiveness } from '../../../src/bridge/shutdown.js'
import { createManualClock } from '../../helpers/runtime.js'

function createLiveness(answers: boolean[]) {
  const clock = createManualClock()
  let jump = 0
  const told: string[] = []
  let pings = 0
  const stop = watchLiveness({
    clock: { now: () => clock.now() + jump, after: clock.after },
    gatewayClient: {
      call: () => {
        const answered = answers[pings] ?? true
        pings += 1
        const outcome: GatewayOutcome = { ok: true, result: {}, sessionId: undefined }
        return answered ? Promise.resolve(outcome) : new Promise(() => {})
      },
    },
    isListening: () => true,
    onDead: () => told.push('dead'),
    onWake: () => told.push('wake'),
  })
  const sleepFor = (ms: number) => {
    jump += ms
  }
  return { clock, told, stop, pings: () => pings, sleepFor }
}

describe('watchLiveness', () => {
  it('[bridge-silent-target] gives the connection up when two pings had no answer', async () => {
    const { clock, told, pings } = createLiveness([true, false, false, true])
    await clock.advance(15_000)
    expect(pings()).toBe(1)
    await clock.advance(30_000)
    expect(told).toEqual([])
    await clock.advance(15_000)
    expect(told).toEqual(['dead'])
    await clock.advance(60_000)
    expect(told).toEqual(['dead'])
  })

  it('[bridge-silent-target] takes one missed ping for nothing', async () => {
    const { clock, told } = createLiveness([true, false, true, false, true])
    await clock.advance(150_000)
    expect(told).toEqual([])
  })

  it('[bridge-sleep] notices that the machine was asleep', async () => {
    const { clock, told, sleepFor, stop } = createLiveness([])
    await clock.advance(9_000)
    sleepFor(29_000)
    await clock.advance(3_000)
    expect(told).toEqual([])
    sleepFor(31_000)
    await clock.advance(3_000)
    expect(told).toEqual(['wake'])
    stop()
    await clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })
})
