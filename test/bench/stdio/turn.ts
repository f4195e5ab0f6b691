import { isDeepStrictEqual } from 'node:util'
import { isObject, type JsonObject } from '../../../src/util/json.js'
import { CALL_TOOL, callFiller, FIRST_ID } from '../content.js'
import type { Host } from './host.js'

export interface TurnOrder {
  /** Bytes of text in an answer. */
  size: number
  /** The target answers as an event stream. */
  stream: boolean
  inFlight: number
  durationMs: number
  /** The turn ends earlier when so many answers have come. */
  maxAnswers?: number
}

export interface Turn {
  answers: number
  /** Answers a second. */
  rate: number
  p50Ms: number
}

const ANSWER_TIMEOUT_MS = 30_000

let lastId = FIRST_ID

/** Keeps so many calls in flight until the time is over, and checks every answer. */
export async function takeTurn(host: Host, order: TurnOrder): Promise<Turn> {
  const { size, stream, inFlight, durationMs, maxAnswers = Number.POSITIVE_INFINITY } = order
  const filler = callFiller(size)
  const sentAt = new Map<number, number>()
  const latencies: number[] = []
  const send = (count: number) => {
    const messages = Array.from({ length: count }, () => {
      lastId += 1
      const params = { name: CALL_TOOL, arguments: { nonce: lastId, size, stream } }
      return { jsonrpc: '2.0', id: lastId, method: 'tools/call', params }
    })
    const now = performance.now()
    for (const { id } of messages) sentAt.set(id, now)
    host.send(messages)
  }
  const start = performance.now()
  let end = start
  const done = host.listen((messages) => {
    end = performance.now()
    let answered = 0
    for (const message of messages) {
      if ('method' in message) continue
      latencies.push(end - takeSent(sentAt, message))
      checkAnswer(message, filler)
      answered += 1
    }
    if (end - start < durationMs && latencies.length < maxAnswers) send(answered)
    return sentAt.size === 0
  }, durationMs + ANSWER_TIMEOUT_MS)
  send(inFlight)
  await done
  latencies.sort((a, b) => a - b)
  const answers = latencies.length
  const rate = (answers / (end - start)) * 1000
  return { answers, rate, p50Ms: latencies[Math.floor((answers - 1) / 2)]! }
}

function takeSent(sentAt: Map<number, number>, { id }: JsonObject): number {
  const at = typeof id === 'number' ? sentAt.get(id) : undefined
  if (at === undefined) throw new Error(`an answer to nothing, or a second one: ${id}`)
  sentAt.delete(id as number)
  return at
}

function checkAnswer({ id, result }: JsonObject, filler: string): void {
  const content = isObject(result) ? result['content'] : undefined
  if (isDeepStrictEqual(content, [{ type: 'text', text: `${id} ${filler}` }])) return
  throw new Error(`wrong answer to ${id}: ${JSON.stringify(result)?.slice(0, 200)}`)
}
