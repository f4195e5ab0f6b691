import { setMember } from './json.js'
import { escapeUnsafe, printable, type Redact } from './redact.js'
import type { Clock, Io } from './runtime.js'
import { cutText, splitOnce } from './text.js'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const

export type LogLevel = (typeof LOG_LEVELS)[number]

export const LOG_FORMATS = ['text', 'json'] as const

export type LogFormat = (typeof LOG_FORMATS)[number]

export type LogFields = Readonly<
  Record<string, string | number | boolean | readonly string[] | undefined>
>

/** `event` is a stable word for programs, `message` a sentence for people. */
export interface Logger {
  debug(event: string, message: string, fields?: LogFields): void
  info(event: string, message: string, fields?: LogFields): void
  warn(event: string, message: string, fields?: LogFields): void
  error(event: string, message: string, fields?: LogFields): void
  /**
   * Prepares records that are written often and differ in time and the arguments of
   * {@link PreparedRecord} only, so that most of a line is made and freed of secrets once.
   */
  prepare(level: LogLevel, event: string, message: string, fields: LogFields): PreparedRecord
  /** Tells whether records of this level are written, so that costly fields need not be made. */
  enabled(level: LogLevel): boolean
}

/**
 * Writes one record. All text must be free of secrets and of characters that JSON escapes; `remote`
 * and `traceparent` follow `id`, and are left out where there are none.
 */
export type PreparedRecord = (
  id: string,
  ms: number,
  remote?: string | undefined,
  traceparent?: string | undefined,
) => void

export interface LoggerOptions {
  io: Pick<Io, 'err'>
  clock: Pick<Clock, 'now'>
  level: LogLevel
  format: LogFormat
  /** Removes secrets from each text. */
  redact: Redact
}

/** Creates a logger that writes one line a record on stderr. */
export function createLogger({ io, clock, level, format, redact }: LoggerOptions): Logger {
  const threshold = LOG_LEVELS.indexOf(level)
  const enabled = (candidate: LogLevel) => LOG_LEVELS.indexOf(candidate) >= threshold
  const render = format === 'json' ? renderJson : renderText
  const write =
    (at: LogLevel) =>
    (event: string, message: string, fields: LogFields = {}) => {
      if (!enabled(at)) return
      const line = render(
        clock.now(),
        at,
        free(redact, event, true),
        free(redact, message),
        freeFields(redact, fields),
      )
      io.err(`${line}\n`)
    }
  const prepare: Logger['prepare'] = (at, event, message, fields) => {
    const freed = freeFields(redact, fields)
    const marked = { id: MARK_ID, ...freed, ms: MARK_MS }
    const line = render(0, at, event, free(redact, message), marked)
    const [head, rest = ''] = splitOnce(line, isoTime(0))
    const [beforeId, afterId = ''] = splitOnce(rest, MARK_ID)
    const [beforeMs, end] = splitOnce(afterId, String(MARK_MS))
    const tail = `${end}\n`
    const [beforeRemote, beforeTrace] = ['remote', 'traceparent'].map(
      format === 'json' ? (name) => `","${name}":"` : (name) => ` ${name}=`,
    ) as [string, string]
    return (id, ms, remote, traceparent) => {
      if (!enabled(at)) return
      let named = id
      if (remote !== undefined) named += beforeRemote + remote
      if (traceparent !== undefined) named += beforeTrace + traceparent
      io.err(head + isoTime(clock.now()) + beforeId + named + beforeMs + ms + tail)
    }
  }
  return {
    prepare,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    enabled,
  }
}

/** Stand in a prepared record where `id` and `ms` come. Nobody can know them who writes a name. */
const MARK_ID = Math.random().toString(36).slice(2).padEnd(12, '0')

const MARK_MS = 1e15 + Math.floor(Math.random() * 1e15)

/** Nobody reads more of one text. */
const LONGEST = 4_000

/** A secret that begins within what is shown ends within this much more. */
const LONGEST_SECRET = 16_000

/** What the program works with keeps its name. */
const NAMES = new Set(['method', 'tool', 'target', 'targets', 'prompt', 'uri', 'client', 'part'])

/** Removes secrets from text that may come from outside, of which it looks at so much only. */
function free(redact: Redact, text: string, isName = false): string {
  if (text.length <= LONGEST) return redact(text, isName)
  return cutText(redact(text.slice(0, LONGEST + LONGEST_SECRET), isName), LONGEST)
}

function freeFields(redact: Redact, fields: LogFields): LogFields {
  const freed: Record<string, LogFields[string]> = {}
  for (const [name, value] of Object.entries(fields)) {
    const key = free(redact, name, true)
    const isName = NAMES.has(name)
    const clean = (text: string) => free(redact, text, isName)
    if (typeof value === 'string') setMember(freed, key, clean(value))
    else setMember(freed, key, typeof value === 'object' ? value.map(clean) : value)
  }
  return freed
}

type Render = (
  now: number,
  level: LogLevel,
  event: string,
  message: string,
  fields: LogFields,
) => string

const renderJson: Render = (now, level, event, message, fields) =>
  escapeUnsafe(JSON.stringify({ time: isoTime(now), level, event, message, ...fields }))

const renderText: Render = (now, level, _event, message, fields) => {
  let line = `${isoTime(now)} ${level.padEnd(5)} ${oneLine(message)}`
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') line += ` ${name}=${oneLine(value)}`
    else if (typeof value === 'object') line += ` ${name}=${oneLine(value.join(','))}`
    else if (value !== undefined) line += ` ${name}=${value}`
  }
  return line
}

let second = Number.NaN
let secondText = ''

/** As `toISOString` writes it. Many records fall into the same second, whose text is kept. */
export function isoTime(now: number): string {
  const wholeSecond = Math.floor(now / 1000)
  if (wholeSecond !== second) {
    second = wholeSecond
    secondText = new Date(wholeSecond * 1000).toISOString().slice(0, -4)
  }
  return `${secondText}${String(Math.floor(now) - wholeSecond * 1000).padStart(3, '0')}Z`
}

/** Keeps text from outside from forging further lines, moving the cursor or turning text around. */
function oneLine(text: string): string {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c < 0x20 || c > 0x7e) return printable(text)
  }
  return text
}
