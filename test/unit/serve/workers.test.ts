import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { resolveConfig } from '../../../src/config/load.js'
import { runWorkers } from '../../../src/serve/workers.js'
import { createLogger } from '../../../src/util/logger.js'
import { createTestRuntime } from '../../helpers/runtime.js'

class FakeWorker extends EventEmitter {
  readonly signals: string[] = []
  readonly process = {
    kill: (signal: string) => {
      this.signals.push(signal)
      queueMicrotask(() => this.die(0, null))
      return true
    },
  } as never
  ready = () => this.emit('message', { readyOn: 8000 })
  die = (code: number | null, signal: string | null) => this.emit('exit', code, signal)
}

function setUp() {
  const { io, clock, stderr, onSignal, onFault, signal, fault } = createTestRuntime()
  const logger = createLogger({ io, clock, level: 'info', format: 'json', redact: (line) => line })
  const configUrl =
    'https://api.descope.com/P2abcdefghijklmnopqrstuvwxyz0/.well-known/openid-configuration'
  const { config } = resolveConfig({
    descope: { configUrl },
    server: { workers: 2 },
    session: { secret: 'x'.repeat(32) },
    targets: { a: { url: 'http://127.0.0.1:9/mcp' } },
  })
  const workers: FakeWorker[] = []
  const ends: [string, number][] = []
  const fork = () => {
    const worker = new FakeWorker()
    workers.push(worker)
    return worker as never
  }
  const listener = { onListening() {}, onEnd: (why: string, n: number) => void ends.push([why, n]) }
  const status = runWorkers({ clock, onSignal, onFault }, config, logger, listener, fork)
  const records = () =>
    stderr()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  return { clock, workers, ends, status, records, signal, fault }
}

/** Both are up. */
async function start() {
  const set = setUp()
  await set.clock.advance(0)
  set.workers[0]?.ready()
  set.workers[1]?.ready()
  return set
}

describe('workers', () => {
  it('that end at once, again and again, end everything with a status and a reason', async () => {
    const { clock, workers, ends, status, records } = await start()
    const pauses: number[] = []
    for (let i = 1; i <= 5; i++) {
      const count = workers.length
      workers.at(-1)?.die(7, null)
      if (i === 5) break
      let waited = 0
      while (workers.length === count) {
        await clock.advance(1_000)
        waited += 1
      }
      pauses.push(waited)
    }
    expect(await status).toBe(7)
    expect(pauses).toEqual([1, 2, 4, 8])
    expect(workers[0]?.signals).toEqual(['SIGTERM'])
    const last = records().at(-1)
    expect(last).toMatchObject({ level: 'error', event: 'workers_failed' })
    expect(last.message).toContain('ended with status 7, as did 4 before it')
    expect(ends).toEqual([['workers end at once, again and again', 0]])
  })

  it('that lived for a while are replaced, however often that happens', async () => {
    const { clock, workers, records, signal, status, ends } = await start()
    for (let i = 0; i < 20; i++) {
      await clock.advance(10_000)
      workers.at(-1)?.die(null, 'SIGKILL')
      await clock.advance(1_000)
    }
    expect(workers).toHaveLength(22)
    expect(records().at(-1)).toMatchObject({ event: 'worker_died', signal: 'SIGKILL' })
    expect(records().at(-1).message).toContain('was ended by SIGKILL')
    workers[0]?.emit('message', { requests: 3 })
    workers.at(-1)?.emit('message', { requests: 4 })
    signal('SIGTERM')
    expect(await status).toBe(0)
    expect(ends).toEqual([['SIGTERM', 7]])
  })

  it('are all ended in order by an error that nothing caught in the first process', async () => {
    const { workers, status, records, fault, ends } = await start()
    fault(new Error('made-up mistake'))
    fault(new Error('another'))
    await Promise.resolve()
    expect(workers.map(({ signals }) => signals)).toEqual([['SIGTERM'], ['SIGTERM']])
    for (const worker of workers) worker.die(0, null)
    expect(await status).toBe(1)
    expect(records()).toMatchObject([{ level: 'error', event: 'uncaught_error' }])
    expect(ends).toEqual([['an error that nothing caught', 0]])
  })

  it('are not started when the first one is killed before it is up, and the log says so', async () => {
    const { clock, workers, status, records } = setUp()
    await clock.advance(0)
    workers[0]?.die(null, 'SIGILL')
    expect(await status).toBe(1)
    expect(records()).toMatchObject([{ level: 'error', signal: 'SIGILL' }])
  })
})
