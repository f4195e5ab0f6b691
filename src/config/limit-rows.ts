/** The rows of what is limited. "Caller" is a subject, "client" the program that it signed in with. */
export const LIMIT_ROWS = {
  bodyBytes: ['positive', 4_194_304, 'Largest request body.', { unit: 'bytes' }],
  bufferedBytes: [
    'positive',
    268_435_456,
    'Total size of the answers held in memory for clients; beyond it, requests fail.',
    { unit: 'bytes' },
  ],
  children: ['positive', 100, 'Largest number of processes of all targets.'],
  calls: ['whole', 1_000, 'Concurrent requests in one process of the proxy; 0 means no limit.'],
  callsPerCaller: ['whole', 100, 'Concurrent requests of one subject.'],
  callsPerClient: ['whole', 0, 'Concurrent requests of one client id; 0 means no limit.'],
  streams: ['whole', 5_000, 'Open streams in one process of the proxy; 0 means no limit.'],
  streamsPerCaller: ['whole', 50, 'Open streams of one subject.'],
  streamsPerClient: ['whole', 0, 'Open streams of one client id; 0 means no limit.'],
  requestsPerMinute: ['whole', 0, 'Requests a minute of one subject and client; 0 means no limit.'],
  requestsPerMinutePerCaller: [
    'whole',
    0,
    'Requests a minute of one subject, with whatever clients; 0 means no limit.',
  ],
  requestsPerMinutePerClient: [
    'whole',
    0,
    'Requests a minute of one client id, of whatever subjects; 0 means no limit.',
  ],
  store: [
    'storeUrl',
    undefined,
    'Valkey or Redis (redis:// or rediss://) that counts for all processes and replicas; by default each process counts alone.',
  ],
  storePrefix: [
    'text',
    'mcp-descope-proxy',
    'What the names of keys in the store begin with; the same on every replica.',
  ],
} as const

/** The rows of the breaker before a target. */
export const BREAKER_ROWS = {
  failures: [
    'whole',
    0,
    'Failures to reach the target, one after the other, after which calls fail at once; 0 means never.',
  ],
  seconds: [
    'seconds',
    5,
    'Time until the next call is let through to a target that was not reached.',
  ],
} as const
