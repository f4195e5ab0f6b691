/** `post` is a message whose body is still to come, or that waits for no answer. */
export type Occupancy = 'post' | 'call' | 'stream'

/** Which limit is reached, and what the client is told. */
export interface Excess {
  /** A stable word for log and metrics; it says what the limit counts by. */
  refusal: (typeof RATES)[Counted][0] | (typeof SLOTS)['calls' | 'streams'][Holder]
  message: string
  status: 429 | 503
  /** Seconds. */
  retryAfter: number
}

/** What rates are counted by. */
export type Counted = 'both' | 'caller' | 'client'

/** What slots are counted by. */
type Holder = 'caller' | 'client' | 'all'

export const WINDOW_MS = 60_000

const RATES = {
  both: ['rate_limit', 'of one caller with one client'],
  caller: ['caller_rate_limit', 'of one caller'],
  client: ['client_rate_limit', 'of one client'],
} as const

const SLOTS = {
  calls: { caller: 'caller_calls', client: 'client_calls', all: 'calls' },
  streams: { caller: 'caller_streams', client: 'client_streams', all: 'streams' },
} as const

/** What who sent too much is told. */
export function tooManyRequests(of: Counted, perMinute: number, waitMs: number): Excess {
  const [refusal, whose] = RATES[of]
  const message = `Too many requests: ${perMinute} a minute ${whose} are the most here`
  const retryAfter = Math.max(1, Math.ceil(Math.min(waitMs, WINDOW_MS) / 1000))
  return { refusal, message, status: 429, retryAfter }
}

/** A call ends soon, a stream does not. */
const RETRY_SECONDS = { post: 1, call: 1, stream: 30 } as const

/** What who has too much at once is told. */
export function tooMuchAtOnce(of: Holder, kind: Occupancy, limit: number): Excess {
  const isStream = kind === 'stream'
  const what = isStream ? 'Too many open streams' : 'Too many requests at once'
  const refusal = SLOTS[isStream ? 'streams' : 'calls'][of]
  const retryAfter = RETRY_SECONDS[kind]
  if (of === 'all') return { refusal, message: `${what} on this server`, status: 503, retryAfter }
  const message = `${what}: ${limit} of one ${of} are the most here`
  return { refusal, message, status: 429, retryAfter }
}
