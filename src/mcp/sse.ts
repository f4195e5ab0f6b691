import { MAX_MESSAGE_BYTES } from './jsonrpc.js'

const LF = 0x0a

const CR = 0x0d

/**
 * Writes an event's id as `Last-Event-ID` has it: Node sends a character of a header as one byte, and
 * the bytes of an id are UTF-8.
 *
 * @see [HTML §9.2.1](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header)
 */
export function lastEventIdHeader(id: string): string {
  return Buffer.from(id, 'utf8').toString('latin1')
}

/**
 * Cuts a byte stream into whole server-sent events, whatever its chunks and line ends are.
 *
 * @see [HTML §9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)
 */
export class EventSplitter {
  #pending: Buffer[] = []
  #pendingBytes = 0
  /** Line ends seen in a row, to find the blank line; a CR that may be half of a CRLF. */
  #blank = true
  #afterCr = false

  /** Bytes of the event that has not ended yet. */
  get pendingBytes(): number {
    return this.#pendingBytes
  }

  /** Tells whether the stream stands between two events, where a heartbeat may be put. */
  get atBoundary(): boolean {
    return this.#pendingBytes === 0
  }

  /**
   * Takes the next bytes.
   *
   * @param onEvents Gets runs of bytes that hold whole events, each with its closing blank line,
   *   and the offset behind each event in the run.
   * @throws {RangeError} when one event grows beyond 64 MiB.
   */
  push(chunk: Buffer, onEvents: (run: Buffer, ends: readonly number[]) => void): void {
    if (chunk.length === 0) return
    const ends = this.#findEnds(chunk)
    const last = ends.at(-1)
    if (last === undefined) {
      this.#keep(chunk)
      return
    }
    const offset = this.#pendingBytes
    const whole = chunk.subarray(0, last)
    const run = offset === 0 ? whole : Buffer.concat([...this.#pending, whole])
    this.#pending = []
    this.#pendingBytes = 0
    if (last < chunk.length) this.#keep(chunk.subarray(last))
    onEvents(run, offset === 0 ? ends : ends.map((end) => end + offset))
  }

  /** Takes the next bytes like {@link push}, and hands out each whole event. */
  each(piece: Buffer, onEvent: (fields: EventFields, bytes: Buffer) => void): void {
    this.push(piece, (run, ends) => eachEvent(run, ends, onEvent))
  }

  #keep(bytes: Buffer): void {
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
    if (this.#pendingBytes > MAX_MESSAGE_BYTES) throw new RangeError('event too large')
  }

  /** Finds the offsets behind each blank line of the chunk. */
  #findEnds(chunk: Buffer): number[] {
    const ends: number[] = []
    let i = 0
    if (this.#afterCr && chunk[0] === LF) {
      // the second half of a CRLF: it belongs to the line end seen before
      i = 1
      if (this.#pendingBytes === 0) ends.push(1)
    }
    this.#afterCr = false
    let nextCr = indexOrEnd(chunk, CR, i)
    let nextLf = indexOrEnd(chunk, LF, i)
    while (i < chunk.length) {
      const byte = chunk[i]
      if (byte !== LF && byte !== CR) {
        this.#blank = false
        if (nextCr < i) nextCr = indexOrEnd(chunk, CR, i)
        if (nextLf < i) nextLf = indexOrEnd(chunk, LF, i)
        i = Math.min(nextCr, nextLf)
        continue
      }
      i++
      if (byte === CR) {
        if (i === chunk.length) this.#afterCr = true
        else if (chunk[i] === LF) i++
      }
      if (this.#blank) ends.push(i)
      this.#blank = true
    }
    return ends
  }
}

/** Reads the events of a run as {@link EventSplitter.push} hands it out. */
export function eachEvent(
  run: Buffer,
  ends: readonly number[],
  onEvent: (fields: EventFields, bytes: Buffer) => void,
): void {
  let start = 0
  for (const end of ends) {
    const bytes = run.subarray(start, end)
    start = end
    onEvent(readEvent(bytes.toString('utf8')), bytes)
  }
}

function indexOrEnd(chunk: Buffer, byte: number, from: number): number {
  const index = chunk.indexOf(byte, from)
  return index < 0 ? chunk.length : index
}

/** The fields of one event that matter to a relay. */
export interface EventFields {
  /** The `data` lines joined; `undefined` without one, '' for a priming event. */
  data: string | undefined
  id: string | undefined
  event: string | undefined
  retry: string | undefined
}

/** Returns how many milliseconds an event tells clients to wait before they reconnect. */
export function retryOf({ retry }: EventFields): number | undefined {
  return retry !== undefined && /^\d{1,9}$/.test(retry) ? Number(retry) : undefined
}

/**
 * Reads one event's fields. `text` is the event with or without its blank line; the byte order mark
 * that may begin a stream is no part of it.
 */
export function readEvent(text: string): EventFields {
  const fields: EventFields = { data: undefined, id: undefined, event: undefined, retry: undefined }
  for (const line of text.replace(/^\ufeff/, '').split(/\r\n|\r|\n/)) {
    const colon = line.indexOf(':')
    if (line === '' || colon === 0) continue
    const name = colon < 0 ? line : line.slice(0, colon)
    if (name !== 'data' && name !== 'id' && name !== 'event' && name !== 'retry') continue
    let value = colon < 0 ? '' : line.slice(colon + 1)
    if (value.startsWith(' ')) value = value.slice(1)
    if (name === 'data' && fields.data !== undefined) fields.data += `\n${value}`
    else fields[name] = value
  }
  return fields
}

const OF_OUR_OWN: Partial<EventFields> = { event: 'message' }

/** Writes an event with this message, keeping the other fields of the one that it replaces. */
export function writeEvent(data: string, fields: Partial<EventFields> = OF_OUR_OWN): string {
  let text = ''
  if (fields.event !== undefined) text += `event: ${fields.event}\n`
  if (fields.id !== undefined) text += `id: ${fields.id}\n`
  if (fields.retry !== undefined) text += `retry: ${fields.retry}\n`
  return `${text}data: ${data.replaceAll('\n', '\ndata: ')}\n\n`
}

/** Gives an event another id and leaves everything else as it was written. */
export function replaceEventId(text: string, id: string): string {
  return text.replace(
    /(^|\ufeff|[\r\n])id:[^\r\n]*/g,
    (_line, before: string) => `${before}id: ${id}`,
  )
}

/** A comment that keeps idle connections open, and that clients ignore. */
export const HEARTBEAT = Buffer.from(': keep-alive\n\n')
