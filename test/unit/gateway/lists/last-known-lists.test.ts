import { expect, it } from 'vitest'
import type { TargetFailure } from '../../../../src/gateway/forwarding/target-failure.js'
import { createLastLists } from '../../../../src/gateway/lists/last-known-lists.js'
import type { Request } from '../../../../src/gateway/request.js'
import { createManualClock } from '../../../helpers/runtime.js'
import { principal, target } from '../support.js'

const requestOf = (subject: string) =>
  ({ exchange: { caller: { principal: principal({ subject }) } } }) as unknown as Request

const alice = requestOf('alice')

const DOWN: TargetFailure = { cause: 'unreachable', target: 't', reason: '' }

const shared = (name: string) => ({ ...target(name), credential: { perCaller: false } as never })

it('keeps so much at most, and forgets the oldest first', () => {
  const lists = createLastLists(createManualClock())
  const page = 'x'.repeat(1024 * 1024)
  for (let i = 0; i < 20; i++) lists.keep(alice, shared(`t${i}`), 'tools/list', [page])
  const kept = Array.from({ length: 20 }, (_, i) =>
    lists.find(alice, shared(`t${i}`), 'tools/list', DOWN),
  )
  expect(kept.map((pages) => pages !== undefined)).toEqual([
    ...Array(4).fill(false),
    ...Array(16).fill(true),
  ])
  lists.keep(alice, shared('t19'), 'tools/list', [page, page, page])
  expect(lists.find(alice, shared('t19'), 'tools/list', DOWN)).toBeUndefined()
})

it('keeps no more empty lists than others', () => {
  const lists = createLastLists(createManualClock())
  const personal = { ...target('t'), credential: { perCaller: true } as never }
  const callers = Array.from({ length: 20_000 }, (_, i) => requestOf(`u${i}`))
  for (const caller of callers) lists.keep(caller, personal, 'tools/list', [])
  const kept = callers.filter((caller) => lists.find(caller, personal, 'tools/list', DOWN))
  expect(kept).toHaveLength(16 * 1024)
})

it("keeps one caller's list from another where the target can tell them apart", () => {
  const lists = createLastLists(createManualClock())
  const personal = { ...target('t'), credential: { perCaller: true } as never }
  lists.keep(alice, personal, 'tools/list', ['a'])
  expect(lists.find(alice, personal, 'tools/list', DOWN)).toEqual(['a'])
  expect(lists.find(requestOf('bob'), personal, 'tools/list', DOWN)).toBeUndefined()
  lists.keep(alice, shared('s'), 'tools/list', ['a'])
  expect(lists.find(requestOf('bob'), shared('s'), 'tools/list', DOWN)).toEqual(['a'])
})

it.each<[boolean, Partial<TargetFailure>]>([
  [true, { cause: 'timeout' }],
  [true, { cause: 'cut_off' }],
  [true, { cause: 'http_status', httpStatus: 503 }],
  [true, { cause: 'http_status', httpStatus: 429 }],
  [false, { cause: 'http_status', httpStatus: 404 }],
  [false, { cause: 'refused_credential', httpStatus: 403 }],
  [false, { cause: 'invalid_answer' }],
])('stands in (%j) for %j', (standsIn, failure) => {
  const lists = createLastLists(createManualClock())
  lists.keep(alice, shared('t'), 'tools/list', ['a'])
  const found = lists.find(alice, shared('t'), 'tools/list', { ...DOWN, ...failure })
  expect(found !== undefined).toBe(standsIn)
})
