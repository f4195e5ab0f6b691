import { performance } from 'node:perf_hooks'
import { FIRST_ID } from '../content.js'
import { startCaller } from './caller.js'
import { openConnection } from './connect.js'
import { Expectation } from './expectation.js'
import type { Endpoint, Work } from './request.js'

export interface CallsOrder {
  endpoint: Endpoint
  work: Work
  connections: number
  /** One for each connection, or none. */
  sessions: string[]
  durationMs: number
  /** The run ends earlier when so many answers have come. */
  maxAnswers?: number
}

export interface CallsReport {
  answers: number
  /** Requests that were sent; one more than answers when the first one was for learning. */
  requests: number
  /** Answers a second. */
  rate: number
  p50Ms: number
  p99Ms: number
}

const ANSWER_TIMEOUT_MS = 60_000
const READ_BUFFER_BYTES = 65_536

let lastId = FIRST_ID
const expectations = new Map<string, Expectation>()

/**
 * Keeps every connection busy with one request at a time until the time is over. Before the first
 * run of a kind, one call shows what to expect.
 */
export async function runCalls(order: CallsOrder): Promise<CallsReport> {
  const key = JSON.stringify([order.endpoint.port, order.work])
  let expectation = expectations.get(key)
  if (expectation === undefined) {
    expectation = new Expectation()
    expectations.set(key, expectation)
    await run({ ...order, connections: 1, maxAnswers: 1 }, expectation)
    const report = await run(order, expectation)
    return { ...report, requests: report.requests + 1 }
  }
  return run(order, expectation)
}

async function run(order: CallsOrder, expectation: Expectation): Promise<CallsReport> {
  const { endpoint, work, connections, durationMs, maxAnswers = Number.POSITIVE_INFINITY } = order
  const opened = await Promise.all(
    Array.from({ length: connections }, () => openConnection(endpoint.port, READ_BUFFER_BYTES)),
  )
  const latencies: number[] = []
  const start = performance.now()
  let end = start
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error('no answer in time')),
      durationMs + ANSWER_TIMEOUT_MS,
    )
    let running = connections
    const shared = {
      endpoint,
      work,
      expectation,
      nextId: () => {
        lastId += 1
        return lastId
      },
      done: (latencyMs: number) => {
        latencies.push(latencyMs)
        end = performance.now()
        return end - start < durationMs && latencies.length < maxAnswers
      },
      finished: () => {
        running -= 1
        if (running > 0) return
        clearTimeout(timer)
        resolve()
      },
      failed: reject,
    }
    for (const [index, connection] of opened.entries()) {
      startCaller(connection, order.sessions[index], shared)
    }
  }).finally(() => {
    for (const { socket } of opened) socket.destroy()
  })
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.floor((latencies.length - 1) * share)]!
  const rate = (latencies.length / (end - start)) * 1000
  const answers = latencies.length
  return { answers, requests: answers, rate, p50Ms: at(0.5), p99Ms: at(0.99) }
}
