import { messageData, readIncoming } from '../../mcp/incoming.js'
import { eachEvent } from '../../mcp/sse.js'
import type { Clock } from '../../util/runtime.js'
import type { TargetFailure } from './target-failure.js'
import { UpstreamCall } from './upstream-call.js'
import type { AnswerListener, TargetAnswerHead, UpstreamSend } from './upstream-send.js'

/** A target's response as a whole, or why there is none. */
export type TargetAnswer =
  | { ok: true; status: number; text: string; head: TargetAnswerHead }
  | { ok: false; failure: TargetFailure; head: TargetAnswerHead }

/** What is under way for one request alone. */
export interface Pending {
  /** Each is called when the client leaves. */
  readonly leaves: Set<() => void>
  /** Nothing can be answered any more. */
  hasLeft: boolean
}

export interface SendAndWaitOptions extends UpstreamSend {
  clock: Pick<Clock, 'after'>
  /** Milliseconds for the whole exchange. */
  deadlineMs: number
  /** Absent where it changes nothing that the client leaves. */
  pending?: Pending | undefined
}

/**
 * Sends a request to a target and waits for its response. Messages that precede the response on an
 * event stream are dropped: nobody waits for them.
 */
export function sendAndWait(options: SendAndWaitOptions): Promise<TargetAnswer> {
  return new Promise((resolve) => {
    const { target, clock, deadlineMs, pending } = options
    let head: TargetAnswerHead = { sessionId: undefined }
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
          const response = incoming.find(({ kind }) => kind === 'response')
          // the stream then ends by itself, which keeps its connection usable
          if (response !== undefined) resolve({ ok: true, status: 200, text: response.text, head })
        })
        return true
      },
      streamEnded: () => fail('cut_off', 'its event stream ended before the answer'),
      failed: (failure) => finish({ ok: false, failure, head }),
    }
    const call = new UpstreamCall(options, listener)
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
