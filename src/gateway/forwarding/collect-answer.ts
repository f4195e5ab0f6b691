import { messageData, readIncoming } from '../../mcp/incoming.js'
import { eachEvent } from '../../mcp/sse.js'
import { ANSWER_PROBLEMS } from '../../upstream/upstream-error.js'
import type { Clock } from '../../util/runtime.js'
import type { Request } from '../request.js'
import type { TargetSession } from '../sessions/sealed-sessions.js'
import type { Target } from '../target.js'
import type { TargetFailure } from './target-failure.js'
import { UpstreamCall } from './upstream-call.js'
import type { AnswerListener, HeaderFields, UpstreamSend } from './upstream-send.js'

/** A target's whole response, or why there is none. */
export type TargetAnswer =
  | { ok: true; status: number; text: string; head: HeaderFields }
  | { ok: false; failure: TargetFailure; head: HeaderFields }

export interface SendAndWaitOptions
  extends Pick<UpstreamSend, 'headers' | 'body' | 'id'>,
    Pick<Request, 'pending'> {
  /** POST unless given. */
  method?: UpstreamSend['method']
  session: Pick<TargetSession, 'id'> | undefined
  /** Milliseconds for the whole exchange. */
  deadlineMs: number
}

/**
 * Sends a target a message with the credential of a request's caller, and waits for the response.
 * Messages that precede it on an event stream are dropped, since no client waits for them.
 *
 * @param options Without `pending`, the client may leave without ending the exchange.
 */
export function sendAndWait(
  clock: Pick<Clock, 'after'>,
  { exchange }: Request,
  target: Target,
  { session, deadlineMs, pending, method = 'POST', ...message }: SendAndWaitOptions,
): Promise<TargetAnswer> {
  const inSession = session?.id !== undefined
  const { caller, span } = exchange
  const send = { ...message, target, caller, method, inSession, timeoutMs: 0, span }
  return new Promise((resolve) => {
    let head: HeaderFields = {}
    const finish = (collected: TargetAnswer) => {
      cancel()
      pending?.leaves.delete(leave)
      resolve(collected)
    }
    const fail = (cause: TargetFailure['cause'], reason: string) =>
      finish({ ok: false, failure: { cause, target: target.name, reason }, head })
    const listener: AnswerListener = {
      answer: (status, body, answerHead) =>
        finish({ ok: true, status, text: body.toString('utf8'), head: answerHead }),
      accepted: (status) => finish({ ok: true, status, text: '', head }),
      streaming: (streamHead) => {
        head = streamHead
      },
      events(run, ends) {
        eachEvent(run, ends, (fields) => {
          const data = messageData(fields)
          const incoming = data === undefined ? [] : readIncoming(data, call.awaited)
          const response = incoming.find(({ kind }) => kind !== 'message')
          if (response?.kind === 'foreign') {
            call.abort()
            fail('invalid_answer', ANSWER_PROBLEMS.foreign)
          }
          // not aborted: the stream ends by itself, and its connection stays usable
          else if (response) resolve({ ok: true, status: 200, text: response.text, head })
        })
        return true
      },
      streamEnded: () => fail('cut_off', ANSWER_PROBLEMS.endedEarly),
      failed: (failure) => finish({ ok: false, failure, head }),
    }
    const call = new UpstreamCall(send, listener)
    const leave = () => {
      call.abort()
      fail('cut_off', 'the client left')
    }
    pending?.leaves.add(leave)
    const cancel = clock.after(deadlineMs, () => {
      call.abort()
      fail('timeout', `it did not answer within ${deadlineMs} ms`)
    })
    call.start()
  })
}
