import { MAX_MESSAGE_BYTES } from '../mcp/limits.js'

/** The most bytes that are read of the body of a refusal: a larger one holds no JSON-RPC error. */
export const MAX_REFUSAL_BYTES = 64 * 1024

/** What is wrong with an answer, for the end of a sentence that begins with the target's name. */
export const ANSWER_PROBLEMS = {
  tooLarge: `its answer is larger than ${MAX_MESSAGE_BYTES / (1024 * 1024)} MiB`,
  brokenStream: 'its event stream cannot be read',
  endedEarly: 'its event stream ended before the answer',
  foreign: 'an event of its answer belongs to another request',
} as const
