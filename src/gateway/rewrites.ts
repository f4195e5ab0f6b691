import type { Withhold } from './withheld.js'

/** Stands for a message that the client does not get. */
export const LEFT_OUT = ''

/** What is changed in an answer on its way back. */
export interface Rewrites {
  /** Learns of what the client does not get. */
  withhold?: Withhold
  /** Finds what an answer was rewritten to before, so that equal bytes need no second look. */
  known?: (bytes: Buffer) => Buffer | undefined
  /** Rewrites the response's bytes; `undefined` leaves them as they are. */
  response?: (bytes: Buffer) => Buffer | undefined
  /**
   * Rewrites a message that precedes the response: a notification or a request to the client;
   * {@link LEFT_OUT} where the client does not get it.
   */
  message?: (text: string) => string
  /** Rewrites what a stream without a request brings (GET); {@link LEFT_OUT} as there. */
  replayed?: (text: string) => string
  /** Without one of these in it, such a stream passes unseen. */
  replayedMarks?: readonly string[]
  /** Exposes an event's id; `undefined` takes it away. */
  eventId?: (id: string) => string | undefined
}
