import type { Clock } from '../../util/runtime.js'
import type { ChildOptions } from './child-process.js'

/** What the server of one process needs. */
export interface ServerOptions extends Omit<ChildOptions, 'onLine' | 'onTooLong'> {
  clock: Pick<Clock, 'after' | 'now'>
  /** Most requests under way at once. */
  requests: number
  /** Until the answer to its first request, milliseconds. */
  startMs: number
  /** Learns of output that is no message. */
  onGarbage(text: string): void
  /** Learns why it is ended for what it wrote. */
  onHostile(reason: string): void
}
