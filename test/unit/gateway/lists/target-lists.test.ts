import { expect, it } from 'vitest'
import type { GatewayContext } from '../../../../src/gateway/context.js'
import { createAliasLearner } from '../../../../src/gateway/lists/target-lists.js'
import type { Request } from '../../../../src/gateway/request.js'
import { createNames } from '../../../../src/gateway/routing/names.js'
import { createManualClock } from '../../../helpers/runtime.js'
import { principal } from '../support.js'

it('one more than ten thousand callers does not have the lists of all the others read again', async () => {
  let readings = 0
  const context = {
    names: createNames([], 56),
    clock: createManualClock(),
    get targets() {
      readings += 1
      return []
    },
  } as unknown as GatewayContext
  const learn = createAliasLearner(context)
  let made = 0
  const makeUp = (request: Request) => {
    made += 1
    return learn(`made_up_${made.toString(16).padStart(6, '0')}`, request)
  }
  const callers = Array.from({ length: 10_001 }, (_, i) => {
    const caller = { principal: principal({ subject: `u${i}` }) }
    return { exchange: { caller } } as unknown as Request
  })
  for (const caller of callers) await makeUp(caller)
  expect(readings).toBe(10_001)
  for (const caller of callers.slice(1)) await makeUp(caller)
  expect(readings).toBe(10_001)
  await makeUp(callers[0] as Request)
  expect(readings).toBe(10_002)
})

it('an alias that one caller cannot see is looked for again for another', async () => {
  const readings: string[] = []
  const context = {
    names: createNames([], 56),
    clock: createManualClock(),
    get targets() {
      readings.push('read')
      return []
    },
  } as unknown as GatewayContext
  const learn = createAliasLearner(context)
  const requestOf = (subject: string) =>
    ({ exchange: { caller: { principal: principal({ subject }) } } }) as unknown as Request
  const name = 'long_name_123abc'
  const [mallory, alice] = [requestOf('mallory'), requestOf('alice')]
  const both = [learn(name, mallory), learn(name, alice)]
  expect(both[0]).not.toBe(both[1])
  await Promise.all(both)
  expect(readings).toHaveLength(2)
  expect(learn(name, mallory)).toBeUndefined()
  expect(learn(name, alice)).toBeUndefined()
})
