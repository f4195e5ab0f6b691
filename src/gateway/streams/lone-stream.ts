import { type EventFields, lastEventIdHeader, writeEvent } from '../../mcp/sse.js'
import { classifyFailure } from '../../util/failure.js'
import type { GatewayContext } from '../context.js'
import { replyFailure } from '../exchange.js'
import { isForgotten, type TargetFailure } from '../forwarding/target-failure.js'
import type { UpstreamSend } from '../forwarding/upstream-send.js'
import type { Request } from '../request.js'
import type { ResponseTransforms } from '../rewriting/response-rewriter.js'
import { isGone } from '../sessions/lost-session.js'
import type { TargetSession } from '../sessions/sealed-sessions.js'
import type { Target } from '../target.js'
import { mayOpenLater, mergeStreams } from './merged-stream.js'

/** Milliseconds; some targets send the response's head only with their first event. */
const HEAD_MS = 500

/** The stream that a client asks for (GET), from a single target. */
export interface LoneStream {
  context: GatewayContext
  request: Request
  target: Target
  session: TargetSession | undefined
  rewrites: ResponseTransforms
  /** Makes the request that opens it, or resumes it behind an event. */
  send(lastEventId?: string): UpstreamSend
}

/**
 * Gives the client a stream or 405, whatever the target answers to GET: clients give the whole
 * connection up for any other answer. They are told that their session is gone only when the target
 * says so of a request, too.
 *
 * @returns The function that takes a failure before anything was sent.
 * @see [MCP 2025-11-25, Listening for Messages](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports#listening-for-messages-from-the-server)
 */
export function watchLoneStream(stream: LoneStream): (failure: TargetFailure) => void {
  const { context, request, target } = stream
  const { exchange } = request
  let isOpen = false
  let hasFailed = false
  const open = () => {
    isOpen = true
    exchange.reply.openStream()
  }
  context.clock.after(HEAD_MS, () => {
    if (!hasFailed) open()
  })

  /** A stream that is open already stays open without events. */
  function goWithout({ httpStatus, reason }: TargetFailure): void {
    if (!isOpen) exchange.reply.empty(405)
    if (httpStatus === 405) return
    const { name } = target
    const text = `Target "${name}" gives no stream`
    context.logger.warn('stream_refused', text, { target: name, reason })
  }

  async function askAgain(failure: TargetFailure): Promise<void> {
    const isLost =
      context.targets.length === 1 && (await isGone(context, request, target, stream.session))
    if (!isLost) return goWithout(failure)
    if (isOpen) exchange.reply.endStream()
    else replyFailure(exchange, undefined, failure)
  }

  return (failure) => {
    hasFailed = true
    if (isForgotten(failure)) return void askAgain(failure)
    // a server that fails at methods which it does not know fails each time
    const isBroken = classifyFailure(failure) === 'broken'
    if (isBroken || !mayOpenLater(failure)) return goWithout(failure)
    exchange.record.failure = failure
    if (!isOpen) open()
    tryAgain(stream)
  }
}

/** Keeps asking a target that fails for its stream; the client's stream is open meanwhile. */
function tryAgain({ context, request, target, rewrites, send }: LoneStream): void {
  let last: string | undefined
  const { reply } = request.exchange
  const source = {
    request: () => send(last && lastEventIdHeader(last)),
    // its client comes again, and then hears what there is to hear
    again: (failure: TargetFailure) => mayOpenLater(failure) && failure.cause !== 'session_lost',
    failed({ reason }: TargetFailure, again: boolean) {
      if (again) return
      const text = `Target "${target.name}" gives no stream any more: it is ended`
      context.logger.warn('stream_refused', text, { target: target.name, reason })
      reply.endStream()
    },
    expose({ data = '', id, event }: EventFields) {
      last = id ?? last
      const text = data === '' ? '' : (rewrites.replayed?.(data) ?? data)
      const exposed = id === undefined ? undefined : (rewrites.eventId?.(id) ?? id)
      return writeEvent(text, { event, id: exposed })
    },
  }
  mergeStreams({ reply, sources: [source], clock: context.clock })
}
