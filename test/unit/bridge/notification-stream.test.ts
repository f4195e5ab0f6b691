import { describe, expect, it } from 'vitest'
import { createStreamListener } from '../../../src/bridge/notification-stream.js'
import { MessageReply, type ReplyListener } from '../../../src/bridge/requests.js'
import type { TargetFailure } from '../../../src/gateway/forwarding/target-failure.js'
import { createLogger } from '../../../src/util/logger.js'
import { createManualClock } from '../../helpers/runtime.js'

const HOST = { isBehind: false, send() {}, whenReady: (callback: () => void) => callback() }

const MESSAGE = '{"jsonrpc":"2.0","method":"notifications/x"}'

const EVENT = { data: undefined, id: undefined, event: undefined, retry: undefined }

interface Opened {
  at: number
  lastEventId: string | undefined
  listener: ReplyListener
  fail(failure: Partial<TargetFailure>): boolean
}

function createListener() {
  const clock = createManualClock()
  const opened: Opened[] = []
  const sent: string[] = []
  let lost = 0
  const listener = createStreamListener({
    clock,
    random: () => 0,
    host: { send: (text) => sent.push(text) },
    logger: createLogger({
      io: { err() {} },
      clock,
      level: 'silent',
      format: 'text',
      redact: (text) => text,
    }),
    onSessionLost: () => {
      lost += 1
    },
    gatewayClient: {
      listen(reply, lastEventId, intercept) {
        opened.push({
          at: clock.now(),
          lastEventId,
          listener: reply,
          fail: (failure) =>
            intercept({ cause: 'http_status', target: 't', reason: 'x', ...failure }),
        })
        return new MessageReply(reply, HOST)
      },
    },
  })
  const last = () => opened.at(-1) as Opened
  return { clock, listener, opened, sent, last, lost: () => lost }
}

describe('createStreamListener', () => {
  it('[bridge-reopens-stream] opens the stream again after growing pauses, and never faster than once a second', async () => {
    const { clock, listener, opened, last } = createListener()
    listener.start()
    const pauses: number[] = []
    for (let time = 0; time < 8; time++) {
      const ended = clock.now()
      last().listener.opened?.()
      last().listener.ended()
      const count = opened.length
      while (opened.length === count) await clock.advance(500)
      pauses.push(last().at - ended)
    }
    expect(pauses).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
  })

  it('[bridge-reopens-stream] goes back to a second once something came, and says what came last', async () => {
    const { clock, listener, last, sent } = createListener()
    listener.start()
    last().listener.ended()
    await clock.advance(1_000)
    last().listener.ended()
    await clock.advance(2_000)
    last().listener.event({ ...EVENT, data: MESSAGE, id: '7' })
    last().listener.ended()
    const at = clock.now()
    await clock.advance(1_000)
    expect(last()).toMatchObject({ at: at + 1_000, lastEventId: '7' })
    expect(sent).toEqual([MESSAGE])
  })

  it('[bridge-reopens-stream] waits as long as the target asks, by retry and by Retry-After', async () => {
    const { clock, listener, opened, last } = createListener()
    listener.start()
    last().listener.event({ ...EVENT, retry: '7000' })
    last().listener.ended()
    await clock.advance(6_999)
    expect(opened).toHaveLength(1)
    await clock.advance(1)
    expect(opened).toHaveLength(2)
    last().fail({ httpStatus: 503, retryAfter: '20' })
    await clock.advance(19_999)
    expect(opened).toHaveLength(2)
    await clock.advance(1)
    expect(opened).toHaveLength(3)
    last().listener.event({ ...EVENT, retry: '0' })
    last().listener.ended()
    await clock.advance(999)
    expect(opened).toHaveLength(3)
  })

  it.each([
    { what: '405', failure: { httpStatus: 405 } },
    { what: '404 without a session', failure: { httpStatus: 404 } },
    { what: 'no event stream', failure: { cause: 'invalid_answer' as const } },
  ])('[bridge-reopens-stream] stops for good after $what', async ({ failure }) => {
    const { clock, listener, opened, last } = createListener()
    listener.start()
    expect(last().fail(failure)).toBe(true)
    listener.start()
    listener.restart(0)
    await clock.advance(3_600_000)
    expect(opened).toHaveLength(1)
  })

  it('[bridge-lost-session] has the session opened again when it is lost, and forgets an event id that is refused', async () => {
    const { clock, listener, last, lost } = createListener()
    listener.start()
    last().listener.event({ ...EVENT, id: '7' })
    last().fail({ cause: 'session_lost', httpStatus: 404 })
    expect(lost()).toBe(1)
    await clock.advance(1_000)
    expect(last().lastEventId).toBe('7')
    last().fail({ httpStatus: 400 })
    await clock.advance(2_000)
    expect(last().lastEventId).toBeUndefined()
  })

  it('[bridge-sleep] drops the stream and opens it anew when it is told to', async () => {
    const { clock, listener, opened, last } = createListener()
    listener.start()
    last().listener.opened?.()
    listener.restart(2_500)
    expect(listener.isOpen).toBe(false)
    await clock.advance(2_499)
    expect(opened).toHaveLength(1)
    await clock.advance(1)
    expect(opened).toHaveLength(2)
  })
})
