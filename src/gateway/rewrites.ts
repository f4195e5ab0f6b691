/** What is changed in an answer on its way back. */
export interface Rewrites {
  /** Finds what an answer was rewritten to before, so that equal bytes need no second look. */
  known?: (bytes: Buffer) => Buffer | undefined
  /** Rewrites the response's bytes; `undefined` leaves them as they are. */
  response?: (bytes: Buffer) => Buffer | undefined
  /** Rewrites a message that precedes the response: a notification or a request to the client. */
  message?: (text: string) => string
  /** Rewrites what a stream without a request brings again (GET). */
  replayed?: (text: string) => string | undefined
  /** Without one of these in it, such a stream passes unseen; by default only with a response. */
  replayedMarks?: readonly string[]
  /** Exposes an event's id; `undefined` takes it away. */
  eventId?: (id: string) => string | undefined
}
