import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { openConnection } from './connect.js'
import { EventCounter } from './event-counter.js'
import { type Endpoint, requestHead } from './request.js'
import { ResponseReader } from './response-reader.js'

export interface StreamsOrder {
  endpoint: Endpoint
  count: number
  sessions: string[]
}

export interface HeadsReport {
  /** Streams whose response head came within the patience, though no event was sent. */
  heads: number
  p50Ms: number
  maxMs: number
}

export interface EventsReport {
  /** Streams that got every event once and in order. */
  complete: number
  events: number
  /** When the last event came, nanoseconds on the machine's monotonic clock. */
  lastAt: string
}

interface Stream {
  counter: EventCounter
  headMs: number | undefined
  close(): void
}

const READ_BUFFER_BYTES = 4096
const AT_ONCE = 50
const HEAD_PATIENCE_MS = 3000
const EVENT_PATIENCE_MS = 10_000

let streams: Stream[] = []
let failure: Error | undefined

/** Opens event streams and waits for their response heads; no event is sent meanwhile. */
export async function openStreams({
  endpoint,
  count,
  sessions,
}: StreamsOrder): Promise<HeadsReport> {
  failure = undefined
  streams = []
  const worker = async () => {
    while (streams.length < count && failure === undefined) {
      await openStream(endpoint, sessions[streams.length])
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  if (failure !== undefined) throw failure
  const times = streams.map(({ headMs }) => headMs).filter((ms) => ms !== undefined)
  times.sort((a, b) => a - b)
  return {
    heads: times.length,
    p50Ms: times[Math.floor(times.length / 2)] ?? Number.NaN,
    maxMs: times.at(-1) ?? Number.NaN,
  }
}

async function openStream(endpoint: Endpoint, session: string | undefined): Promise<void> {
  const stream: Stream = { counter: new EventCounter(), headMs: undefined, close: () => {} }
  streams.push(stream)
  const connection = await openConnection(endpoint.port, READ_BUFFER_BYTES)
  await new Promise<void>((resolve) => {
    let closing = false
    stream.close = () => {
      closing = true
      connection.socket.destroy()
    }
    const fail = (error: Error) => {
      if (!closing) failure ??= error
      resolve()
    }
    const sentAt = performance.now()
    const reader = new ResponseReader({
      head: (status) => {
        stream.headMs = performance.now() - sentAt
        if (status === 200) resolve()
        else fail(new Error(`stream answered ${status}`))
      },
      body: (bytes, start, end) => stream.counter.add(bytes.toString('utf8', start, end)),
      end: () => fail(new Error('stream ended')),
    })
    connection.onBytes = (bytes) => reader.feed(bytes)
    connection.onError = fail
    connection.socket.write(
      requestHead(endpoint, { method: 'GET', ...(session !== undefined && { session }) }),
    )
    setTimeout(resolve, HEAD_PATIENCE_MS).unref()
  })
}

/** Forgets the events seen so far; the next emission starts at 0. */
export function expectEvents(): void {
  for (const { counter } of streams) counter.reset()
}

/** Waits until `receivers` streams have got `each` events, or nothing more can be hoped for. */
export async function awaitEvents({ receivers, each }: { receivers: number; each: number }) {
  const deadline = performance.now() + EVENT_PATIENCE_MS
  const isComplete = ({ counter }: Stream) => counter.count === each && !counter.broken
  const complete = () => streams.filter(isComplete).length
  while (complete() < receivers && performance.now() < deadline) await sleep(20)
  if (failure !== undefined) throw failure
  let last = 0n
  let events = 0
  for (const { counter } of streams) {
    if (counter.lastAt > last) last = counter.lastAt
    events += counter.count
  }
  return { complete: complete(), events, lastAt: String(last) } satisfies EventsReport
}

export function closeStreams(): void {
  for (const stream of streams) stream.close()
  streams = []
}
