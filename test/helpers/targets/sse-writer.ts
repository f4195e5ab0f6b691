import type { ServerResponse } from 'node:http'

/** How an event stream looks on the wire. All of it is allowed by the event-stream format. */
export interface SseStyle {
  /** Each event carries an `id:`. */
  eventIds?: boolean
  /** How the ids begin. Default `s`. */
  idPrefix?: string
  /** The stream begins with an event that has an id and empty data. Needs `eventIds`. */
  priming?: boolean
  /** Sent as `retry:` with the first event, milliseconds. */
  retryMs?: number
  /** A comment line stands before each event. */
  comments?: boolean
  lineEnd?: '\n' | '\r\n' | '\r'
  /** Events are named `message`, which is also what an unnamed event is. Default true. */
  named?: boolean
  /** No space after the colon. */
  tight?: boolean
  /** The JSON is written over several `data:` lines. */
  multiline?: boolean
  /** The stream begins with a byte order mark. */
  byteOrderMark?: boolean
  /** Every so many bytes go out in a segment of their own, without regard to lines or characters. */
  chunkBytes?: number
  /** Milliseconds between two segments. */
  chunkDelayMs?: number
}

export interface SseEvent {
  data: string
  id?: string | undefined
  retryMs?: number | undefined
  name?: string | undefined
}

/** Renders one event, with the empty line that ends it. */
export function renderEvent(event: SseEvent, style: SseStyle = {}): string {
  const { lineEnd = '\n', named = true, tight = false } = style
  const gap = tight ? '' : ' '
  const lines: string[] = []
  if (style.comments) lines.push(`:${gap}comment`)
  if (event.name !== undefined || named) lines.push(`event:${gap}${event.name ?? 'message'}`)
  if (event.id !== undefined) lines.push(`id:${gap}${event.id}`)
  if (event.retryMs !== undefined) lines.push(`retry:${gap}${event.retryMs}`)
  for (const line of event.data.split('\n')) lines.push(`data:${gap}${line}`)
  return `${lines.join(lineEnd)}${lineEnd}${lineEnd}`
}

export interface SegmentWriter {
  write(text: string | Uint8Array): Promise<void>
  end(): Promise<void>
}

/** Writes to a response in order, cut into segments as the style says. */
export function createSegmentWriter(response: ServerResponse, style: SseStyle = {}): SegmentWriter {
  let queue: Promise<void> = Promise.resolve()
  const enqueue = (task: () => Promise<void>) => {
    queue = queue.then(task)
    return queue
  }
  const put = (bytes: Uint8Array) =>
    new Promise<void>((resolve) => {
      if (response.destroyed || response.writableEnded) resolve()
      else response.write(bytes, () => resolve())
    })
  return {
    write: (text) =>
      enqueue(async () => {
        const bytes = typeof text === 'string' ? Buffer.from(text) : text
        const size = style.chunkBytes ?? bytes.length
        for (let start = 0; start < bytes.length; start += size) {
          await put(bytes.subarray(start, start + size))
          if (style.chunkBytes !== undefined) await pause(style.chunkDelayMs)
        }
      }),
    end: () =>
      enqueue(async () => {
        response.end()
      }),
  }
}

/** Lets the event loop turn, so that the segment leaves alone, or waits. */
function pause(ms: number | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (ms === undefined) setImmediate(resolve)
    else setTimeout(resolve, ms)
  })
}
