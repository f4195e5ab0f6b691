/** What the target says. The load generator knows it too, so it can check every answer. */

/** Fixed, because requests are prebuilt: the load generator overwrites nine digits in place. */
export const FIRST_ID = 100_000_000

/** As the target names it; `prefix` is what a renaming proxy puts in front. */
export const CALL_TOOL = 'echo'

export interface CallArguments {
  nonce: number
  /** Bytes of text in the answer. */
  size: number
  /** Answer as an event stream instead of JSON. */
  stream: boolean
}

/** The text that answers a call: the caller's own number, then letters up to `size` bytes. */
export function callText(nonce: number, size: number): string {
  return `${nonce} ${callFiller(size)}`
}

/** What follows the number and a space. */
export function callFiller(size: number): string {
  const length = size - String(FIRST_ID).length - 1
  return 'the quick brown fox jumps over a lazy dog '.repeat(length / 42 + 1).slice(0, length)
}

export interface Tool {
  name: string
  description: string
  inputSchema: { type: 'object'; properties: Record<string, unknown>; required: string[] }
}

/** About 600 bytes a tool, as real servers have. The first one is the tool that is called. */
export function toolList(count: number, prefix = ''): Tool[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `${prefix}${index === 0 ? CALL_TOOL : `tool_${String(index).padStart(4, '0')}`}`,
    description: `Tool number ${index}. ${'Reads one thing, checks it and says what it found. '.repeat(5)}`,
    inputSchema: {
      type: 'object',
      properties: {
        query: { type: 'string', description: 'What to look for, in words of your own' },
        limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
        fields: { type: 'array', items: { type: 'string' }, description: 'Fields to return' },
      },
      required: ['query'],
    },
  }))
}

/** One server-to-client notification; `sequence` counts from 0 within an emission. */
export function eventData(sequence: number): string {
  return JSON.stringify({
    jsonrpc: '2.0',
    method: 'notifications/message',
    params: { level: 'info', data: { sequence, text: EVENT_TEXT } },
  })
}

const EVENT_TEXT = 'something happened that the client may like to know about'
