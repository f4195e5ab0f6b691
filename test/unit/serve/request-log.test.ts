import { describe, expect, it } from 'vitest'
import type { Principal } from '../../../src/auth/principal.js'
import {
  createRefusalLimit,
  createRequestLog,
  type RequestSummary,
} from '../../../src/serve/request-log.js'
import { createLogger } from '../../../src/util/logger.js'
import { createManualClock, createTestRuntime } from '../../helpers/runtime.js'

const principal = (subject: string) => ({ subject, clientId: 'app' }) as Principal

const ANN = principal('ann')

const NOT_REFUSED = { principal: ANN, refusal: undefined }

let calls = 0

function setUp() {
  const { io, clock, stderr } = createTestRuntime()
  const redact = (line: string) => line.replaceAll('hush', '[redacted]')
  const logger = createLogger({ io, clock, level: 'info', format: 'json', redact })
  const log = createRequestLog(logger, clock, undefined)
  const records = () =>
    stderr()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
  return { records, log, startedAt: clock.now(), clock }
}

function call(tool: string, change: Partial<RequestSummary> = {}): RequestSummary {
  const record = { method: 'tools/call', tool, target: 'docs', failure: undefined }
  const id = `id-${++calls}`
  const remote = '192.0.2.1'
  return { id, remote, record, status: 200, startedAt: 0, ...NOT_REFUSED, ...change }
}

describe('createRequestLog', () => {
  it('writes a record for each request, alike or not', async () => {
    const { log, records, startedAt, clock } = setUp()
    log(call('a', { startedAt }))
    await clock.advance(5)
    log(call('a', { startedAt }))
    log(call('b', { startedAt }))
    log(call('a', { startedAt, status: 403 }))
    log(call('a', { startedAt, principal: principal('bob') }))
    log(call('a', { startedAt, refusal: 'body' }))
    log(call('a', { startedAt, principal: undefined }))
    log(call('a', { startedAt, endpoint: '/docs/mcp' }))
    log(call('a', { startedAt }))
    const written = records()
    expect(written.map(({ endpoint }) => endpoint).filter(Boolean)).toEqual(['/docs/mcp'])
    expect(written.map(({ tool, status, ms }) => [tool, status, ms])).toEqual([
      ['a', 200, 0],
      ['a', 200, 5],
      ['b', 200, 5],
      ['a', 403, 5],
      ['a', 200, 5],
      ['a', 200, 5],
      ['a', 200, 5],
      ['a', 200, 5],
      ['a', 200, 5],
    ])
    const [first, , , , bob, refused, nobody, , last] = written
    expect(new Set(written.map(({ id }) => id)).size).toBe(9)
    expect(bob.subject).not.toBe(first.subject)
    expect(refused.refusal).toBe('body')
    expect([nobody.subject, last.subject, last.refusal]).toEqual([
      undefined,
      first.subject,
      undefined,
    ])
  })

  it('shows no secret that a client put into a name, and no long ones', () => {
    const { log, records, startedAt } = setUp()
    for (const tool of ['hush', 'hush', 'x'.repeat(1000)]) log(call(tool, { startedAt }))
    expect(records().map(({ tool }) => tool.length)).toEqual([10, 10, 129])
  })
})

function countRefusals() {
  const clock = createManualClock()
  const told: Record<string, number>[] = []
  const isLogged = createRefusalLimit(clock, (left) => told.push(Object.fromEntries(left)))
  const many = (refusal: string, remote: string, count: number) =>
    Array.from({ length: count }, () => isLogged(refusal, remote)).filter(Boolean).length
  return { clock, told, many, isLogged }
}

describe('the limit of records about refusals', () => {
  it('lets ten a minute pass for each reason and address, and tells the rest once', async () => {
    const { clock, told, many } = countRefusals()
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
    const { clock, told, many } = countRefusals()
    let logged = 0
    for (let i = 0; i < 5_000; i++) logged += many('host', `2001:db8::${i.toString(16)}`, 1)
    expect(logged).toBe(200)
    await clock.advance(60_000)
    expect(told).toEqual([{ host: 4_800 }])
  })

  it('tells before the end what was left out, and nothing twice', async () => {
    const { clock, told, many, isLogged } = countRefusals()
    isLogged.flush()
    many('host', '192.0.2.1', 13)
    isLogged.flush()
    expect(told).toEqual([{ host: 3 }])
    expect(clock.pending).toBe(0)
    many('host', '192.0.2.1', 2)
    await clock.advance(60_000)
    expect(told).toEqual([{ host: 3 }, { host: 2 }])
  })
})
