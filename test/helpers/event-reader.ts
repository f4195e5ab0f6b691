import type { Stack } from './stack.js'
import { eventually } from './targets/eventually.js'
import type { RecordingTarget } from './targets/recording.js'

export interface ReadMessage {
  id?: unknown
  method?: string
  params?: Record<string, unknown>
  result?: Record<string, unknown>
  error?: { code: number; message: string }
}

/** One event that a client of an event stream read. */
export interface ReadEvent {
  id: string | undefined
  message: ReadMessage
}

/** Reads an event stream as a client does. */
export function readEvents(response: Response) {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  let text = ''
  const events: ReadEvent[] = []
  return {
    async next(): Promise<ReadEvent> {
      for (;;) {
        const event = events.shift()
        if (event !== undefined) return event
        const { value, done } = await reader.read()
        if (done) throw new Error(`The stream ended: ${text}`)
        text += Buffer.from(value).toString()
        const end = text.lastIndexOf('\n\n')
        if (end < 0) continue
        events.push(...text.slice(0, end).split('\n\n').flatMap(readEvent))
        text = text.slice(end + 2)
      }
    },
    /** Reads up to the end, or to the message that fits. */
    async all(fits: (message: ReadMessage) => boolean = () => false): Promise<ReadEvent[]> {
      const all: ReadEvent[] = []
      for (;;) {
        const event = await this.next().catch(() => undefined)
        if (event === undefined) return all
        all.push(event)
        if (fits(event.message)) return all
      }
    },
    close: () => reader.cancel(),
  }
}

function readEvent(event: string): ReadEvent[] {
  const field = (name: string) => new RegExp(`^${name}: ?(.*)$`, 'm').exec(event)?.[1]
  const data = field('data')
  return data ? [{ id: field('id'), message: JSON.parse(data) }] : []
}

/** Opens the stream of what targets send by themselves, and waits until these targets have it. */
export async function openStream(
  at: Stack,
  headers: Record<string, string>,
  targets: readonly RecordingTarget[],
) {
  const before = targets.map((target) => target.getStreams().length)
  const response = await fetch(at.url, {
    headers: {
      authorization: `Bearer ${await at.token()}`,
      accept: 'text/event-stream',
      ...headers,
    },
  })
  await eventually(() => {
    for (const [i, target] of targets.entries()) {
      if (target.getStreams().length <= (before[i] as number)) throw new Error('not open yet')
    }
  })
  return readEvents(response)
}
