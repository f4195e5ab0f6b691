import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../src/auth/principal.js'
import { parseMessageText } from '../../../src/mcp/message.js'
import { openAudit } from '../../../src/serve/audit.js'
import type { FinishedCall } from '../../../src/serve/request-log.js'
import { createRedactor } from '../../../src/util/redact.js'
import { createManualClock } from '../../helpers/runtime.js'

const SECRET = 'canary-5f2c9e7a1b-4d8e'

function open() {
  const clock = createManualClock()
  let written = ''
  const io = {
    out: (text: string) => {
      written += text
    },
  }
  const audit = openAudit(
    { clock, io, redact: createRedactor([SECRET]), fetch: globalThis.fetch },
    {
      audit: { stdout: true, arguments: true },
      descope: {},
      server: { workers: 1 },
    } as never,
    { warn() {}, error() {}, info() {} } as never,
    () => {},
  )
  if (audit === undefined) throw new Error('no audit')
  const records = () =>
    written
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  return { audit, clock, records }
}

const finished = (changes: Partial<FinishedCall['summary']>): FinishedCall => ({
  ...{ outcome: 'refused', refusal: changes.refusal, ms: 1 },
  summary: {
    ...{ status: 401, startedAt: 0, refusal: undefined, id: 'r-1', remote: '192.0.2.1' },
    ...{ principal: undefined as Principal | undefined, isRequest: true },
    record: { method: 'POST', tool: undefined, target: undefined, failure: undefined },
    ...changes,
  },
})

describe('the audit trail', () => {
  it('counts before its end the refusals that it has no records of', async () => {
    const { audit, clock, records } = open()
    for (let i = 0; i < 1_003; i++) audit.record(finished({ refusal: 'malformed' }))
    for (let batch = 0; batch < 4; batch++) await clock.advance(10)
    const closed = audit.trail.close(1_000)
    for (let batch = 0; batch < 4; batch++) await clock.advance(10)
    await closed
    const [last, before] = records().reverse()
    expect(last).toMatchObject({ event: 'stop' })
    expect(before).toMatchObject({ event: 'left_out', count: 3, refusals: { malformed: 3 } })
  })

  it('has no secret that a client wrote as the name of an argument', async () => {
    const { audit, clock, records } = open()
    const params = { name: 'read', arguments: { [SECRET]: 1, a: { [`Bearer ${SECRET}`]: 2 } } }
    const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params }
    const requested = audit.requestedItem(parseMessageText(JSON.stringify(message)))
    audit.record({ ...finished({ requested, status: 200 }), outcome: 'ok' })
    await clock.advance(1_000)
    expect(records().at(-1)).toMatchObject({ tool: 'read', arguments: { a: {} } })
    expect(JSON.stringify(records())).not.toContain(SECRET)
  })
})
