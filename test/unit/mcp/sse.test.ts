import { createParser, type EventSourceMessage } from 'eventsource-parser'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type EventFields,
  EventSplitter,
  HEARTBEAT,
  readEvent,
  writeEvent,
} from '../../../src/mcp/sse.js'

const lineText = fc.oneof(
  fc.constantFrom('', '', '', 'data: {"a":1}', 'data:', 'data', 'data: é😀', 'data:  two spaces'),
  fc.constantFrom(': comment', ':', 'id: 7', 'id', 'event: message', 'event:', 'retry: 100'),
  fc.constantFrom('unknown: x', 'data : x', ' data: x', 'DATA: x', 'data: a:b', 'dataa'),
)
const lineEnd = fc.constantFrom('\n', '\r', '\r\n')

/** A stream of whole lines, with perhaps the beginning of one more. */
const streamText = fc
  .tuple(
    fc.constantFrom('', '\ufeff'),
    fc.oneof(
      fc.array(fc.tuple(lineText, lineEnd), { maxLength: 20 }),
      // one line end in a whole stream, as most servers write
      fc
        .tuple(lineEnd, fc.array(lineText, { maxLength: 20 }))
        .map(([end, lines]) => lines.map((line) => [line, end] as [string, string])),
    ),
    fc.constantFrom('', 'dat', 'data: unfinished'),
  )
  .map(([mark, lines, rest]) => mark + lines.map(([line, end]) => line + end).join('') + rest)

const cuts = fc.array(fc.nat({ max: 300 }), { maxLength: 12 })

interface Split {
  runs: Buffer[]
  events: string[]
  atBoundary: boolean
}

function split(bytes: Buffer, at: readonly number[]): Split {
  const splitter = new EventSplitter()
  const runs: Buffer[] = []
  const events: string[] = []
  const inner = at.filter((cut) => cut < bytes.length)
  const places = [0, ...inner.sort((a, b) => a - b), bytes.length]
  for (const [index, place] of places.slice(1).entries()) {
    splitter.push(bytes.subarray(places[index], place), (run, ends) => {
      runs.push(run)
      let start = 0
      for (const end of ends) {
        events.push(run.toString('utf8', start, end))
        start = end
      }
      expect(start).toBe(run.length)
    })
  }
  return { runs, events, atBoundary: splitter.atBoundary }
}

function parse(text: string): Partial<EventFields>[] {
  const found: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (event) => found.push(event) })
  // Decoding the bytes takes the mark off. The parser keeps a CR at the end back until more comes.
  parser.feed(`${text.replace(/^\ufeff/, '')}:`)
  return found.map(({ data, id, event }) => ({ data, id, event }))
}

function read(events: readonly string[]): Partial<EventFields>[] {
  return events
    .map(readEvent)
    .filter(({ data }) => data !== undefined)
    .map(({ data, id, event }) => ({ data, id, event: event || undefined }))
}

describe('EventSplitter', () => {
  it('finds the events that a client finds, wherever the chunks end', () => {
    fc.assert(
      fc.property(streamText, cuts, (text, at) => {
        expect(read(split(Buffer.from(text), at).events)).toEqual(parse(text))
      }),
      { numRuns: 2_000 },
    )
  })

  it('passes on every byte up to the last end, in order and once', () => {
    fc.assert(
      fc.property(streamText, cuts, (text, at) => {
        const bytes = Buffer.from(text)
        const { runs, atBoundary } = split(bytes, at)
        const passed = Buffer.concat(runs)
        expect(bytes.subarray(0, passed.length)).toEqual(passed)
        expect(atBoundary).toBe(passed.length === bytes.length)
        expect(parse(bytes.toString('utf8', passed.length))).toEqual([])
      }),
      { numRuns: 1_000 },
    )
  })

  it('ends each event with a blank line', () => {
    fc.assert(
      fc.property(streamText, cuts, (text, at) => {
        for (const event of split(Buffer.from(text), at).events) {
          expect(event).toMatch(/(^\ufeff?|\r|\n)(\r\n|\r|\n)$|^(\r\n|\r|\n)$/)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  it('passes an event on with its last byte, not later', () => {
    const splitter = new EventSplitter()
    const seen: string[] = []
    const push = (text: string) =>
      splitter.push(Buffer.from(text), (run) => seen.push(run.toString()))
    push('data: a\r\n\r')
    expect(seen).toEqual(['data: a\r\n\r'])
    push('\ndata: b\n')
    expect(seen).toEqual(['data: a\r\n\r', '\n'])
    expect(splitter.atBoundary).toBe(false)
    push('\n')
    expect(seen.at(-1)).toBe('data: b\n\n')
    expect(splitter.atBoundary).toBe(true)
  })

  it('takes an empty chunk within a CRLF for nothing', () => {
    expect(split(Buffer.from('data: a\r\ndata: b\r\n\r\n'), [8, 8]).events).toEqual([
      'data: a\r\ndata: b\r\n\r\n',
    ])
  })

  it.each(['\n', '\r', '\r\n'])('takes a megabyte of short lines ending in %j', (end) => {
    const line = `a${end}`
    const bytes = Buffer.from(line.repeat(1_000_000 / line.length) + end)
    expect(split(bytes, []).runs.map(({ length }) => length)).toEqual([bytes.length])
  })

  it('gives up on an event without end', () => {
    const splitter = new EventSplitter()
    const chunk = Buffer.alloc(16 * 1024 * 1024, 'x')
    const push = () => splitter.push(chunk, () => expect.unreachable())
    for (let i = 0; i < 4; i++) push()
    expect(push).toThrow(RangeError)
  })
})

describe('readEvent and writeEvent', () => {
  it('keep data and fields through a round trip', () => {
    const word = fc.stringMatching(/^[\w{}":, é-]{0,20}$/).map((text) => text.trimStart())
    const maybe = fc.option(word, { nil: undefined })
    const fields = fc.record({ id: maybe, event: maybe, retry: maybe })
    fc.assert(
      fc.property(fc.array(word, { minLength: 1 }), fields, (lines, given) => {
        const data = lines.join('\n')
        const text = writeEvent(data, given)
        expect(readEvent(text)).toEqual({ data, ...given })
        expect(split(Buffer.from(text), []).events).toEqual([text])
      }),
    )
  })

  it('tell an event without data from one with empty data', () => {
    expect(readEvent('id: 1\n\n').data).toBeUndefined()
    expect(readEvent('id: 1\ndata:\n\n')).toMatchObject({ data: '', id: '1' })
    expect(readEvent(HEARTBEAT.toString()).data).toBeUndefined()
  })

  it('take off one space and no more', () => {
    expect(readEvent('data:  a \n\n').data).toBe(' a ')
  })
})
