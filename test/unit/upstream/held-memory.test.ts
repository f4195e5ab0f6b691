import { describe, expect, it } from 'vitest'
import { AnswerReader } from '../../../src/upstream/answer-reader.js'
import { ClientSession } from '../../../src/upstream/shared/client-session.js'
import { PendingCall } from '../../../src/upstream/shared/pending-call.js'
import { openSseStream } from '../../../src/upstream/sse/sse-stream.js'
import type { UpstreamController, UpstreamHandler } from '../../../src/upstream/upstream.js'
import { createMemoryBudget, UNCOUNTED_BYTES } from '../../../src/util/memory-budget.js'
import { createManualClock } from '../../helpers/runtime.js'

const MAX = 200_000
const PIECE = Buffer.alloc(60_000, 'x')
const TIMES = { headersTimeout: 0, bodyTimeout: 0 }
const CONTROLLER: UpstreamController = {
  aborted: false,
  paused: false,
  reason: null,
  abort() {},
  pause() {},
  resume() {},
}

/** Takes pieces until there is no room; returns whether that ever happened. */
function fill(take: () => void, isRefused: () => boolean): boolean {
  for (let count = 0; count < 100 && !isRefused(); count++) take()
  return isRefused()
}

function startCall(memory = createMemoryBudget(MAX)) {
  const seen = { text: '', error: undefined as Error | undefined }
  const handler: UpstreamHandler = {
    onResponseData(_controller, chunk) {
      seen.text += chunk
    },
    onResponseError(_controller, error) {
      seen.error = error
    },
  }
  return { memory, seen, call: new PendingCall(handler, createManualClock(), TIMES, memory) }
}

describe('what waits in memory of a target that answers on a connection of its own', () => {
  it('is refused beyond the limit when it is events of a call, and given back', () => {
    const { memory, seen, call } = startCall()
    call.pause()
    expect(
      fill(
        () => call.event(String(PIECE)),
        () => seen.error !== undefined,
      ),
    ).toBe(true)
    expect(seen.error?.message).toContain('finds no room')
    expect(call.keptBytes).toBe(0)
    expect(memory.used).toBe(0)
  })

  it('is given back when the client reads on', () => {
    const { memory, seen, call } = startCall()
    call.pause()
    call.event(String(PIECE))
    call.event(String(PIECE))
    expect(memory.used).toBeGreaterThan(0)
    call.resume()
    expect(memory.used).toBe(0)
    expect(seen.text.length).toBeGreaterThan(2 * PIECE.length)
  })

  it('is left out beyond the limit when it waits for a stream, and given back', () => {
    const memory = createMemoryBudget(MAX)
    const sessions = [new ClientSession({}, memory), new ClientSession({}, memory)]
    for (const session of sessions) for (let i = 0; i < 50; i++) session.deliver(String(PIECE))
    expect(memory.used).toBeGreaterThan(UNCOUNTED_BYTES)
    expect(memory.used).toBeLessThanOrEqual(MAX)
    const { seen, call } = startCall(memory)
    sessions[0]?.listen(call)
    expect(seen.text).toContain('xxx')
    sessions[1]?.end()
    expect(memory.used).toBe(0)
  })

  it('is refused beyond the limit when it is an event of HTTP+SSE that does not end', async () => {
    const memory = createMemoryBudget(MAX)
    let stream: UpstreamHandler = {}
    let ended: Error | undefined
    const send = (_request: unknown, handler: UpstreamHandler) => {
      stream = handler
    }
    const opening = openSseStream({
      clock: createManualClock(),
      url: new URL('http://t/sse'),
      upstream: { send, close: async () => {} },
      headers: [],
      memory,
      onMessage() {},
      onEnd(error) {
        ended = error
      },
    })
    stream.onRequestStart?.(CONTROLLER, {})
    stream.onResponseStart?.(CONTROLLER, 200, { 'content-type': 'text/event-stream' })
    const push = (text: string | Buffer) => stream.onResponseData?.(CONTROLLER, Buffer.from(text))
    push('event: endpoint\ndata: /messages\n\n')
    expect((await opening).kind).toBe('open')
    push('data: ')
    expect(
      fill(
        () => push(PIECE),
        () => ended !== undefined,
      ),
    ).toBe(true)
    expect(ended?.message).toContain('finds no room')
    expect(memory.used).toBe(0)
  })

  it.each([
    ['a JSON answer', 'application/json', '{"a":"'],
    ['an event', 'text/event-stream', 'data: '],
  ])('is refused beyond the limit when it is %s that is translated', (_title, type, start) => {
    const memory = createMemoryBudget(MAX)
    let failed: Error | undefined
    const listener = {
      notified() {},
      responded() {},
      refused() {},
      failed(error: Error) {
        failed = error
      },
    }
    const answer = new AnswerReader(1, listener, memory)
    answer.onRequestStart(CONTROLLER)
    answer.onResponseStart(CONTROLLER, 200, { 'content-type': type })
    answer.onResponseData(CONTROLLER, Buffer.from(start))
    const take = () => answer.onResponseData(CONTROLLER, PIECE)
    expect(fill(take, () => failed !== undefined)).toBe(true)
    expect(failed?.message).toContain('finds no room')
    expect(memory.used).toBe(0)
  })
})
