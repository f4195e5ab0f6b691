/** The most bytes of one message, however it comes: a body, an event, a line. */
export const MAX_MESSAGE_BYTES = 64 * 1024 * 1024
