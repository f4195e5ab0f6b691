import { describe, expect, it } from 'vitest'
import { nameRequest } from '../../../src/serve/request-id.js'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const SPAN = '00f067aa0ba902b7'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const name = (headers: Record<string, string>) => nameRequest({ headers })

describe('the name of a request', () => {
  it.each([
    ['of version 00', `00-${TRACE}-${SPAN}-01`],
    ['that is not sampled', `00-${TRACE}-${SPAN}-00`],
    ['of a later version', `01-${TRACE}-${SPAN}-01`],
    ['of a later version that says more', `cc-${TRACE}-${SPAN}-01-what-comes-later`],
  ])('is the trace id of a traceparent %s', (_title, traceparent) => {
    expect(name({ traceparent })).toEqual({ id: TRACE, traceparent: traceparent.slice(0, 55) })
  })

  it.each([
    ['empty', ''],
    ['of version ff', `ff-${TRACE}-${SPAN}-01`],
    ['without a trace', `00-${'0'.repeat(32)}-${SPAN}-01`],
    ['without a span', `00-${TRACE}-${'0'.repeat(16)}-01`],
    ['in capitals', `00-${TRACE.toUpperCase()}-${SPAN}-01`],
    ['of version 00 that says more', `00-${TRACE}-${SPAN}-01-more`],
    ['with something before it', ` 00-${TRACE}-${SPAN}-01`],
    ['sent twice', `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`],
    ['that breaks a line', `00-${TRACE}-${SPAN}-01\nforged`],
    ['cut short', `00-${TRACE}-${SPAN}-0`],
  ])('is a new one where the traceparent is %s', (_title, traceparent) => {
    const first = name({ traceparent })
    expect(first.id).toMatch(UUID)
    expect(first.traceparent).toBeUndefined()
    expect(name({ traceparent }).id).not.toBe(first.id)
  })

  it('is never what the client calls it', () => {
    const { id } = name({ 'x-request-id': 'of-the-client' })
    expect(id).toMatch(UUID)
  })
})
