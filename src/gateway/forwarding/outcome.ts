import { memberText } from '../../mcp/json-text.js'
import { isObject, type JsonObject } from '../../util/json.js'

/** How an answer ended, as the answer itself says. */
export type AnswerOutcome = 'ok' | 'tool_error' | 'rpc_error'

/** In longer answers only both ends are searched: all known servers write these members there. */
export const MAX_SEARCHED = 32 * 1024

const END_LENGTH = 2 * 1024

const ERROR_KEY = '"error"'

const TOOL_ERROR_KEY = '"isError"'

const SPACE = 0x20

const COLON = 0x3a

const LOWER_T = 0x74

/** Tells how a parsed response ended. */
export function outcomeOfMessage({ error, result }: JsonObject): AnswerOutcome {
  if (result === undefined && error !== undefined) return 'rpc_error'
  return isObject(result) && result['isError'] === true ? 'tool_error' : 'ok'
}

/**
 * Tells how a response ended, from bytes that were checked to be one. Most answers contain neither
 * member's name; where one does, its place decides, so that the same word in a result's text does not
 * count.
 */
export function outcomeOfAnswer(answer: string | Buffer): AnswerOutcome {
  if (answer.length > MAX_SEARCHED) return outcomeOfLong(answer)
  if (!mayBeError(answer)) return 'ok'
  return outcomeOfText(typeof answer === 'string' ? answer : answer.toString('utf8'))
}

function outcomeOfLong(answer: string | Buffer): AnswerOutcome {
  const ends = [answer.slice(0, END_LENGTH), answer.slice(-END_LENGTH)]
  return ends.some(mayBeError) ? outcomeOfText(answer.toString()) : 'ok'
}

function outcomeOfText(text: string): AnswerOutcome {
  const result = memberText(text, 'result')
  if (result === undefined) return memberText(text, 'error') === undefined ? 'ok' : 'rpc_error'
  return memberText(result, 'isError') === 'true' ? 'tool_error' : 'ok'
}

/** How both names end. */
export const END_OF_KEYS = 'rror"'

/** Searches for `"error":` and `"isError":t`. */
function mayBeError(answer: string | Buffer): boolean {
  if (!answer.includes(END_OF_KEYS)) return false
  return hasMember(answer, TOOL_ERROR_KEY, LOWER_T) || hasMember(answer, ERROR_KEY, undefined)
}

function hasMember(answer: string | Buffer, key: string, first: number | undefined): boolean {
  let at = answer.indexOf(key)
  while (at >= 0) {
    const colon = behindSpace(answer, at + key.length)
    if (codeAt(answer, colon) === COLON) {
      if (first === undefined) return true
      if (codeAt(answer, behindSpace(answer, colon + 1)) === first) return true
    }
    at = answer.indexOf(key, at + key.length)
  }
  return false
}

function behindSpace(answer: string | Buffer, from: number): number {
  let at = from
  while (at < answer.length && codeAt(answer, at) <= SPACE) at++
  return at
}

function codeAt(answer: string | Buffer, at: number): number {
  return typeof answer === 'string' ? answer.charCodeAt(at) : (answer[at] ?? Number.NaN)
}
