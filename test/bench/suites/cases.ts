import type { Case } from '../measure.js'
import type { RequestSuite } from '../plan.js'

const call = (size: number, stream = false) => ({ method: 'tools/call' as const, size, stream })
const list = (tools: number) => ({ method: 'tools/list' as const, tools })

const KB = 1024
const MB = 1024 * KB

export const CASES: Record<RequestSuite, Case[]> = {
  calls: [
    { id: 'call-1', work: call(KB), connections: 1 },
    { id: 'call-10', work: call(KB), connections: 10 },
    { id: 'call-64', work: call(KB), connections: 64 },
    { id: 'call-10-sessions', work: call(KB), connections: 10, sessions: true },
  ],
  payloads: [
    { id: 'call-stream', work: call(KB, true), connections: 10 },
    { id: 'call-100kb', work: call(100 * KB), connections: 10 },
    { id: 'call-5mb', work: call(5 * MB), connections: 10 },
  ],
  lists: [
    { id: 'list-10', work: list(10), connections: 10 },
    { id: 'list-200', work: list(200), connections: 10 },
    { id: 'list-2000', work: list(2000), connections: 10 },
  ],
}
