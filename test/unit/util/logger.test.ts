import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createLogger,
  LOG_LEVELS,
  type LogFields,
  type LogFormat,
  type LogLevel,
} from '../../../src/util/logger.js'
import { createManualClock, createTestRuntime } from '../../helpers/runtime.js'

const START = Date.UTC(2026, 0, 1)
const same = (text: string) => text

function setUp(format: LogFormat, level: LogLevel = 'debug', redact = same) {
  const { io, clock, stderr } = createTestRuntime()
  return { logger: createLogger({ io, clock, level, format, redact }), clock, written: stderr }
}

describe('the log as text', () => {
  it('has a line for people', () => {
    const { logger, written } = setUp('text')
    logger.warn('word', 'A sentence', { target: 'docs', ms: 7, ok: false, none: undefined })
    expect(written()).toBe('2026-01-01T00:00:00.000Z warn  A sentence target=docs ms=7 ok=false\n')
  })

  it('keeps to one line whatever comes from outside', () => {
    const outside = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(outside, outside, fc.array(outside), (message, value, list) => {
        const { logger, written } = setUp('text')
        logger.error('word', message, { value, list })
        expect(written().slice(0, -1)).not.toMatch(/\p{Cc}/u)
        expect(written().endsWith('\n')).toBe(true)
      }),
      { numRuns: 500 },
    )
  })

  it('replaces each run of control characters by one space', () => {
    const { logger, written } = setUp('text')
    const list = ['c\n', '\u009b2J']
    logger.info('word', 'a\r\n\u001b[31mb', { list })
    expect(written()).toBe('2026-01-01T00:00:00.000Z info  a [31mb list=c ,\u00202J\n')
  })
})

describe('the log as JSON', () => {
  it('has an object for programs on each line', () => {
    const { logger, written } = setUp('json')
    const fields = { text: 'a\n"b"', list: ['x'], none: undefined }
    logger.info('word', 'A sentence', fields)
    logger.debug('other', 'Another')
    const [first = '', second = '', ...rest] = written().split('\n')
    expect(JSON.parse(first)).toEqual({
      time: '2026-01-01T00:00:00.000Z',
      level: 'info',
      event: 'word',
      message: 'A sentence',
      text: 'a\n"b"',
      list: ['x'],
    })
    expect(JSON.parse(second)).toMatchObject({ level: 'debug', event: 'other' })
    expect(rest).toEqual([''])
  })
})

/** What a terminal obeys, what breaks lines, and what turns text around. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may be written
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/

describe.each(['text', 'json'] as const)('text from outside in the log as %s', (format) => {
  it.each([
    ['ESC', '\u001b]0;x\u0007'],
    ['a C1 control', '\u009b2J'],
    ['DEL', '\u007f'],
    ['NEL', '\u0085'],
    ['a line separator', '\u2028'],
    ['a paragraph separator', '\u2029'],
    ['a bidi override', '\u202egnp.exe'],
    ['a bidi isolate', '\u2066'],
    ['a mark from right to left', '\u200f'],
  ])('moves no cursor and turns no line by %s', (_title, unsafe) => {
    const { logger, written } = setUp(format)
    const value = `a${unsafe}b`
    logger.error('word', value, { value, list: [value] })
    logger.prepare('info', 'word', value, { value })('a-1', 1, '192.0.2.1')
    const lines = written().slice(0, -1).split('\n')
    expect(lines).toHaveLength(2)
    for (const line of lines) {
      expect(line).not.toMatch(UNSAFE)
      // in JSON nothing is lost
      if (format === 'json') expect(JSON.parse(line)).toMatchObject({ message: value, value })
    }
  })
})

describe('the log', () => {
  it.each(LOG_LEVELS)('writes what is at least as grave as %s', (level) => {
    const { logger, written } = setUp('json', level)
    const levels = ['debug', 'info', 'warn', 'error'] as const
    for (const each of levels) logger[each]('word', 'A sentence')
    const found = written()
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).level)
    expect(found).toEqual(
      LOG_LEVELS.slice(LOG_LEVELS.indexOf(level)).filter((at) => at !== 'silent'),
    )
    expect(levels.filter(logger.enabled)).toEqual(found)
  })

  it.each<[LogFormat]>([['text'], ['json']])('redacts all of a line: %s', (format) => {
    const redact = (line: string) => line.replaceAll('hidden', '***')
    const { logger, written } = setUp(format, 'debug', redact)
    const fields: LogFields = { hidden: 'hidden', list: ['hidden'] }
    logger.error('hidden', 'hidden', fields)
    expect(written()).not.toContain('hidden')
    expect(written()).toContain('***')
  })

  it('writes times as toISOString does', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5_000 }), { minLength: 1 }), (steps) => {
        let now = START + 998
        const lines: string[] = []
        const io = { err: (text: string) => void lines.push(text) }
        const clock = { now: () => now }
        const logger = createLogger({ io, clock, level: 'info', format: 'json', redact: same })
        for (const step of steps) {
          now += step - 2_000 // the clock of a machine is put back at times
          logger.info('word', 'A sentence')
          expect(JSON.parse(lines.at(-1) ?? '').time).toBe(new Date(now).toISOString())
        }
      }),
    )
  })

  it('cuts fractions of a millisecond off', () => {
    const clock = createManualClock(START + 999.9)
    const { io, stderr } = createTestRuntime()
    createLogger({ io, clock, level: 'info', format: 'json', redact: same }).info('a', 'b')
    expect(JSON.parse(stderr()).time).toBe('2026-01-01T00:00:00.999Z')
  })
})

describe('a prepared record', () => {
  it.each(['text', 'json'] as const)(
    'is written in %s as if it were made each time',
    async (format) => {
      const text = fc.string({ unit: 'binary', maxLength: 40 })
      const redact = (line: string) => line.replaceAll('secret', '[redacted]')
      await fc.assert(
        fc.asyncProperty(text, text, fc.nat(), fc.nat(), async (message, tool, later, ms) => {
          const { logger, written, clock } = setUp(format, 'info', redact)
          const fields = {
            tool: `${tool} secret`,
            since: '1970-01-01T00:00:00.000Z',
            none: undefined,
          }
          const write = logger.prepare('info', 'word', message, fields)
          await clock.advance(later % 5000)
          write('a-1', ms)
          logger.info('word', message, { id: 'a-1', ...fields, ms })
          const [first, second] = written().split('\n')
          expect(first).toBe(second)
          expect(first).not.toContain('secret')
        }),
      )
    },
  )

  it.each(['text', 'json'] as const)(
    'names the remote address and the trace in %s where they are given',
    (format) => {
      const { logger, written } = setUp(format, 'info')
      const fields = { method: 'ping' }
      logger.prepare('info', 'word', 'A sentence', fields)('a-1', 7, '::1', '00-a-b-01')
      const given = { id: 'a-1', remote: '::1', traceparent: '00-a-b-01', ...fields, ms: 7 }
      logger.info('word', 'A sentence', given)
      const [first, second] = written().split('\n')
      expect(first).toBe(second)
    },
  )

  it('is not written below its level', () => {
    const { logger, written } = setUp('text', 'warn')
    logger.prepare('info', 'word', 'A sentence', {})('a-1', 1)
    expect(written()).toBe('')
  })
})
