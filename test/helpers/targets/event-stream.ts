import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import {
  createSegmentWriter,
  renderEvent,
  type SegmentWriter,
  type SseStyle,
} from './sse-writer.js'

/** One event stream. It outlives its connection when events have ids, so that it can be resumed. */
export interface EventStream {
  readonly id: string
  /** A connection is attached now. */
  readonly connected: boolean
  send(message: unknown): Promise<void>
  comment(text: string): Promise<void>
  /** Writes bytes as they are. */
  raw(text: string | Uint8Array): Promise<void>
  /** Ends the stream for good. */
  end(): Promise<void>
  /** Ends the connection only; the stream lives on until somebody resumes it. */
  disconnect(): Promise<void>
  /** Cuts the connection without ending the HTTP message. */
  cut(): void
}

export interface Streams {
  open(response: ServerResponse, headers?: OutgoingHttpHeaders): EventStream
  /** Goes on with the stream that sent this event id; `false` when there is none. */
  resume(lastEventId: string, response: ServerResponse, headers?: OutgoingHttpHeaders): boolean
  /** Streams that have a connection. */
  readonly connected: EventStream[]
}

export const SSE_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache, no-transform',
}

interface StreamState {
  stream: EventStream
  /** Kept only when events have ids. */
  log: { id: string; data: string }[]
  ended: boolean
  attach(response: ServerResponse, headers: OutgoingHttpHeaders): SegmentWriter
}

/** Creates the event streams of one target. */
export function createStreams(style: SseStyle = {}): Streams {
  const all = new Map<string, StreamState>()
  let count = 0
  return {
    open(response, headers = {}) {
      count += 1
      const state = createStream(`${style.idPrefix ?? 's'}${count}`, style)
      all.set(state.stream.id, state)
      if (!style.eventIds) response.once('close', () => all.delete(state.stream.id))
      const writer = state.attach(response, headers)
      if (style.byteOrderMark) void writer.write('\ufeff')
      if (style.eventIds && style.priming) {
        const id = `${state.stream.id}-0`
        void writer.write(renderEvent({ data: '', id, retryMs: style.retryMs }, style))
      }
      return state.stream
    },
    resume(lastEventId, response, headers = {}) {
      const state = all.get(lastEventId.replace(/-\d+$/, ''))
      if (state === undefined) return false
      const writer = state.attach(response, headers)
      const seen = Number(lastEventId.slice(lastEventId.lastIndexOf('-') + 1))
      for (const [index, event] of state.log.entries()) {
        if (index + 1 > seen) void writer.write(renderEvent(event, style))
      }
      if (state.ended) void writer.end()
      return true
    },
    get connected() {
      return [...all.values()].map((state) => state.stream).filter((stream) => stream.connected)
    },
  }
}

function createStream(id: string, style: SseStyle): StreamState {
  let sent = 0
  let current: { writer: SegmentWriter; response: ServerResponse } | undefined
  const state: StreamState = {
    log: [],
    ended: false,
    attach(response, headers) {
      const writer = createSegmentWriter(response, style)
      response.writeHead(200, { ...SSE_HEADERS, ...headers })
      response.flushHeaders()
      const attached = { writer, response }
      current = attached
      response.once('close', () => {
        if (current === attached) current = undefined
      })
      return writer
    },
    stream: {
      id,
      get connected() {
        return current !== undefined
      },
      async send(message) {
        const data = JSON.stringify(message, undefined, style.multiline ? 1 : undefined)
        const first = sent === 0 && !style.priming
        sent += 1
        const event = { data, id: `${id}-${sent}` }
        if (style.eventIds) state.log.push(event)
        const rendered = renderEvent(
          {
            data,
            id: style.eventIds ? event.id : undefined,
            retryMs: first ? style.retryMs : undefined,
          },
          style,
        )
        await current?.writer.write(rendered)
      },
      async comment(text) {
        const end = style.lineEnd ?? '\n'
        await current?.writer.write(`: ${text}${end}${end}`)
      },
      async raw(text) {
        await current?.writer.write(text)
      },
      async end() {
        state.ended = true
        await current?.writer.end()
      },
      async disconnect() {
        await current?.writer.end()
        current = undefined
      },
      cut() {
        current?.response.destroy()
        current = undefined
      },
    },
  }
  return state
}
