import { messageData } from '../../mcp/incoming.js'
import { eachEvent } from '../../mcp/sse.js'
import type { StandIn } from '../connecting/in-place.js'
import type { AnswerListener, UpstreamSend } from './upstream-send.js'

/** Has the lists that a target gives kept for when their caller is not connected any more. */
export function keepingLists(
  send: UpstreamSend,
  standIn: StandIn,
  listener: AnswerListener,
  answer: { readonly isInPlace: boolean },
): AnswerListener {
  const keep = standIn.keeperFor(send)
  if (keep === undefined) return listener
  const keepOwn = (text: string) => {
    if (!answer.isInPlace && text.includes('"result"')) keep(text)
  }
  return {
    known(body) {
      const isKnown = listener.known?.(body) === true
      if (isKnown) keepOwn(body.toString('utf8'))
      return isKnown
    },
    answer(status, body, head, text) {
      if (status === 200) keepOwn(text ?? body.toString('utf8'))
      listener.answer(status, body, head, text)
    },
    accepted: (status) => listener.accepted(status),
    streaming: (head) => listener.streaming(head),
    events(run, ends) {
      eachEvent(run, ends, (fields) => {
        const data = messageData(fields)
        if (data !== undefined) keepOwn(data)
      })
      return listener.events(run, ends)
    },
    streamEnded: () => listener.streamEnded(),
    failed: (failure) => listener.failed(failure),
  }
}
