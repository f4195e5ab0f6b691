import type { RequestId } from '../../mcp/jsonrpc.js'
import { type EventFields, lastEventIdHeader, writeEvent } from '../../mcp/sse.js'
import { BoundedMap } from '../../util/bounded-map.js'
import { classifyFailure } from '../../util/failure.js'
import { isStandInSession } from '../connecting/in-place.js'
import type { GatewayContext } from '../context.js'
import { replyFailure } from '../exchange.js'
import type { Resumed } from '../forwarding/answer-check.js'
import { relay } from '../forwarding/relay.js'
import { isForgotten, type TargetFailure } from '../forwarding/target-failure.js'
import { type UpstreamSend, upstreamHeaders } from '../forwarding/upstream-send.js'
import { accessKey, bindingKey, type Request } from '../request.js'
import {
  type createResponseRewriter,
  LEFT_OUT,
  type ResponseTransforms,
} from '../rewriting/response-rewriter.js'
import type { TargetSession } from '../sessions/sealed-sessions.js'
import { isGone, openSession } from '../sessions/target-session.js'
import type { Target } from '../target.js'
import { GetListener } from './get-listener.js'
import { mayOpenLater, mergeStreams, type StreamSource } from './merged-stream.js'

/** How long no stream is requested again from a target that answered 405, milliseconds. */
const STREAMLESS_MS = 600_000

const MAX_STREAMLESS = 1_000

/** Creates what opens the stream of messages that targets send unasked (GET). */
export function createGetStream(
  context: GatewayContext,
  rewriter: ReturnType<typeof createResponseRewriter>,
) {
  const { targets, clock, eventIds, logger } = context
  const [only, ...others] = targets
  /** Until when targets, per caller, are taken to offer no such stream. */
  const streamless = new BoundedMap<string, number>(MAX_STREAMLESS)

  const open = (request: Request): void => {
    const { exchange } = request
    const lastEventId = exchange.header('last-event-id')
    const isOnly = only !== undefined && others.length === 0
    if (isOnly && !request.bindsIds) {
      const resumed = lastEventId === undefined ? undefined : { request: undefined }
      return relayStaying(request, only, { lastEventId, resumed })
    }
    const position =
      lastEventId === undefined ? undefined : eventIds.read(lastEventId, bindingKey(request))
    if (position !== undefined && 'target' in position) {
      const target = targets.find(({ name }) => name === position.target)
      if (target !== undefined) return relayStaying(request, target, readPosition(position))
    }
    if (isOnly) return relayStaying(request, only, START)
    const now = clock.now()
    const streaming = targets.filter(
      (target) => (streamless.get(accessKey(request, target)) ?? 0) <= now,
    )
    if (streaming.length === 0) return exchange.reply.empty(405)
    // an id that we did not issue does not say where to resume: the stream starts from now
    const last = position !== undefined && 'last' in position ? position.last : new Map()
    exchange.reply.openStream()
    const sources = streaming.map((target) => createSource(request, target, last))
    const merged = mergeStreams({ reply: exchange.reply, sources, clock })
    exchange.reply.stays = new GetListener(context, request, { merged, last })
  }

  function relayStaying(request: Request, target: Target, from: Beginning): void {
    request.exchange.reply.stays = new GetListener(context, request, { lone: target })
    relayOne(request, target, from)
  }

  function relayOne(
    request: Request,
    target: Target,
    from: Beginning,
    opened?: TargetSession,
  ): void {
    const { exchange } = request
    const session = opened ?? context.sessions.at(request.session, target.name)
    const rewrites = rewriter.rewritesForStream(request, target, from.resumed)
    const send = (last = from.lastEventId) => streamRequest(clock, request, target, session, last)
    const stream = { context, request, target, session, rewrites, send }
    // the bridge handles all failures of its stream itself
    const takeFailure = context.reopenSessions ? undefined : watchLoneStream(stream)
    relay({
      exchange,
      send: send(),
      rewrites,
      // a session that another replica keeps is opened here first
      recover(failure) {
        const mayReopen = opened === undefined && !context.reopenSessions
        if (failure.cause !== 'session_lost' || isForgotten(failure) || !mayReopen) {
          takeFailure?.(failure)
          return takeFailure !== undefined
        }
        void openSession(context, request, target, session).then((found) => {
          const isNone = found?.id === undefined && !isStandInSession(session?.id)
          if (found === undefined || isNone) replyFailure(exchange, undefined, failure)
          else relayOne(request, target, from, found)
        })
        return true
      },
    })
  }

  /** @param last The last event id of each target, shared by all sources of one stream. */
  function createSource(request: Request, target: Target, last: Map<string, string>): StreamSource {
    const { replayed } = rewriter.rewritesForStream(request, target, undefined)
    let used: TargetSession | undefined
    let lost: TargetSession | undefined
    return {
      target,
      request() {
        used = context.sessions.at(request.session, target.name)
        // the next call opens the session again; until then there is no stream to open
        if (used !== undefined && used === lost) return undefined
        const id = last.get(target.name)
        return streamRequest(clock, request, target, used, id && lastEventIdHeader(id))
      },
      expose({ data = '', id, event }: EventFields) {
        if (event !== undefined && event !== 'message') return undefined
        const fields = {
          event,
          id: id === undefined ? undefined : exposeId(request, target, id, last),
        }
        if (data === '') return writeEvent('', fields)
        const exposed = replayed?.(data) ?? data
        return exposed === LEFT_OUT ? undefined : writeEvent(exposed, fields)
      },
      again(failure) {
        // a target that was down at the client's initialize may get its session later
        return (
          mayOpenLater(failure) ||
          (failure.cause === 'session_required' && request.session !== undefined)
        )
      },
      failed({ cause, httpStatus, reason }, again) {
        if (cause === 'session_lost') lost = used
        if (httpStatus === 405) {
          streamless.set(accessKey(request, target), clock.now() + STREAMLESS_MS)
        } else if (!again) {
          const { name } = target
          logger.warn('stream_refused', `Target "${name}" gives no stream`, {
            target: name,
            reason,
          })
        }
      },
    }
  }

  function exposeId(request: Request, target: Target, id: string, last: Map<string, string>) {
    last.set(target.name, id)
    return eventIds.exposeAll(last, bindingKey(request))
  }

  const relayLone = (request: Request, target: Target) => relayOne(request, target, START)
  return { open, createSource, relayLone }
}

/** Where a stream is resumed, if it is. */
interface Beginning {
  /** As it is sent to the target. */
  lastEventId: string | undefined
  resumed: Resumed | undefined
}

const START: Beginning = { lastEventId: undefined, resumed: undefined }

/** An event id names a request only where it came on the stream of that request's answer. */
function readPosition({ id, request }: { id: string; request: RequestId | undefined }): Beginning {
  return {
    lastEventId: lastEventIdHeader(id),
    resumed: request === undefined ? undefined : { request },
  }
}

function streamRequest(
  clock: GatewayContext['clock'],
  { exchange }: Request,
  target: Target,
  session: TargetSession | undefined,
  lastEventId: string | undefined,
): UpstreamSend {
  const headers = upstreamHeaders(clock, exchange, session, 'GET')
  if (lastEventId !== undefined) headers.push('last-event-id', lastEventId)
  const { caller, span } = exchange
  const inSession = session?.id !== undefined
  return { target, caller, method: 'GET', headers, inSession, timeoutMs: 0, span }
}

/** Milliseconds; some targets send the response's head only with their first event. */
const HEAD_MS = 500

/** The stream that a client requests (GET), from a single target. */
interface LoneStream {
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
function watchLoneStream(stream: LoneStream): (failure: TargetFailure) => void {
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

/** Retries the stream of a target that fails; the client's stream is open meanwhile. */
function tryAgain({ context, request, target, rewrites, send }: LoneStream): void {
  let last: string | undefined
  const { reply } = request.exchange
  const source = {
    target,
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
