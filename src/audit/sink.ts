import type { Fragment } from './chain.js'

export type SinkName = 'file' | 'stdout' | 'descope'

/** Why not everything was written. */
export interface SinkFailure {
  /** The error's code, or a few words; never what a server answered. */
  readonly reason: string
  /** Lines to try again. */
  readonly left: readonly string[]
  /** How many lines will never be taken. */
  readonly refused?: number
  /** What was written of a line whose rest was not. */
  readonly torn?: Fragment | undefined
  /** Not to be tried before, milliseconds. */
  readonly afterMs?: number | undefined
}

/** A place that records go to. */
export interface Sink {
  readonly name: SinkName
  /** For the log. */
  readonly where: string
  /**
   * Writes whole lines; without any, only looks whether they could be written. Never rejects, and is not
   * called again before it is done.
   *
   * @returns `undefined` when all were taken.
   */
  write(lines: readonly string[]): Promise<SinkFailure | undefined>
  close(): void
}

/** The longest text that a pipe takes as one piece, so that what other processes write stands between lines. */
const PIPE_BYTES = 4096

/** Joins lines into pieces that a pipe takes as a whole. */
export function piecesForPipe(lines: readonly string[]): string[][] {
  const pieces: string[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const line of lines) {
    const bytes = Buffer.byteLength(line)
    if (size + bytes > PIPE_BYTES) {
      pieces.push([])
      size = 0
    }
    pieces.at(-1)?.push(line)
    size += bytes
  }
  return pieces
}
