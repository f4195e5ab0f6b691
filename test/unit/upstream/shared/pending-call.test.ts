import { describe, expect, it } from 'vitest'
import { type CallEnd, PendingCall } from '../../../../src/upstream/shared/pending-call.js'
import type { UpstreamController, UpstreamHandler } from '../../../../src/upstream/upstream.js'
import { createClock } from '../../../../src/util/async.js'

/** Notes what a call tells its handler. */
function recorder() {
  const heard: string[] = []
  const handler: UpstreamHandler = {
    onResponseStart: (_controller, status, headers) => {
      heard.push(`${status} ${headers['content-type'] ?? ''}`)
    },
    onResponseData: (_controller, chunk) => void heard.push(chunk.toString()),
    onResponseEnd: () => void heard.push('end'),
    onResponseError: (_controller, error) => void heard.push(`error: ${error.message}`),
  }
  return { heard, handler }
}

function source() {
  const log: string[] = []
  const controller = {
    pause: () => void log.push('pause'),
    resume: () => void log.push('resume'),
  } as unknown as UpstreamController
  return { log, controller }
}

const EVENT = (text: string) => `event: message\ndata: ${text}\n\n`

describe('a pending call', () => {
  it.each(['onResponseStart', 'onResponseData', 'onResponseEnd'] as const)(
    'fails its request where %s throws, since nobody else would',
    (name) => {
      const { heard, handler } = recorder()
      const throwing = {
        ...handler,
        [name]() {
          throw new Error('no')
        },
      }
      const call = new PendingCall(throwing)
      expect(() => call.answer('{"result":1}')).toThrow('no')
      expect(call.isOver).toBe(true)
      expect(heard.at(-1)).toBe('error: its answer is of no use: no')
    },
  )

  it('answers with JSON, and on a stream once a message precedes the response', () => {
    const alone = recorder()
    new PendingCall(alone.handler).answer('{"result":1}')
    const preceded = recorder()
    const call = new PendingCall(preceded.handler)
    call.event('{"method":"x"}')
    call.answer('{"result":1}')
    expect(alone.heard).toEqual(['200 application/json', '{"result":1}', 'end'])
    expect(preceded.heard).toEqual([
      '200 text/event-stream',
      EVENT('{"method":"x"}'),
      EVENT('{"result":1}'),
      'end',
    ])
  })

  it('fails where a status comes behind the head of a stream', () => {
    const { heard, handler } = recorder()
    const call = new PendingCall(handler)
    call.openStream()
    call.respond(503, {})
    expect(heard).toEqual(['200 text/event-stream', 'error: it answered HTTP 503'])
  })

  it('keeps what a slow client does not take, and holds up the answer that it is made from', () => {
    const { heard, handler } = recorder()
    const { log, controller } = source()
    const ends: CallEnd[] = []
    const call = new PendingCall(handler)
    call.onOver = (end) => ends.push(end)
    call.follow(controller)
    call.pause()
    call.answer('{"result":1}')
    call.pause()
    expect(heard).toEqual(['200 application/json', '{"result":1}', 'end'])

    const slow = recorder()
    const other = new PendingCall(slow.handler)
    other.follow(controller)
    other.openStream()
    other.pause()
    other.answer('{"result":2}')
    expect(slow.heard).toEqual(['200 text/event-stream'])
    expect(other.keptBytes).toBeGreaterThan(0)
    other.resume()
    expect(slow.heard).toEqual(['200 text/event-stream', EVENT('{"result":2}'), 'end'])
    expect(log).toEqual(['pause', 'pause', 'pause', 'resume'])
    expect(ends).toEqual(['answered'])
  })

  it('lets the answer that it is made from go on when its client leaves', () => {
    const { heard, handler } = recorder()
    const { log, controller } = source()
    const call = new PendingCall(handler, createClock(), { headersTimeout: 60_000, bodyTimeout: 0 })
    call.follow(controller)
    call.pause()
    const reason = new Error('gone')
    call.abort(reason)
    call.answer('{"result":1}')
    expect(call.reason).toBe(reason)
    expect(log).toEqual(['pause', 'resume'])
    expect(heard).toEqual([])
  })
})
