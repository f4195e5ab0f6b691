/** The part of a writable stream that is needed here. */
export interface OutputStream {
  write(text: string, done?: (error?: Error | null) => void): boolean
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): unknown
}

export interface Output {
  write(text: string): void
  /** Resolves when the reader has caught up, or is gone; `undefined` when it is not behind. */
  drained(): Promise<void> | undefined
  /** Resolves when everything was handed to the system; false when the reader is gone. Never rejects. */
  delivered(): Promise<boolean>
  /** Hands over what waits, without waiting until it arrived. */
  flushNow(): void
  /** Resolves when everything was handed to the system, or cannot be. Never rejects. */
  flush(): Promise<void>
}

/**
 * Creates an output that gathers text and hands it over in one write.
 *
 * @param schedule Decides when; `setImmediate` makes it once a turn of the event loop.
 * @param onClosed Called once when the reader is gone; later text is dropped.
 */
export function createOutput(
  stream: OutputStream,
  schedule: (write: () => void) => void,
  onClosed: () => void = () => undefined,
): Output {
  let waiting = ''
  let scheduled = false
  let closed = false
  let writes = 0
  let draining: { promise: Promise<void>; resolve: () => void } | undefined
  const drained = () => {
    draining?.resolve()
    draining = undefined
  }
  // Without a listener, a reader that went away (EPIPE) would crash the process.
  stream.on('error', () => {
    if (closed) return
    closed = true
    drained()
    onClosed()
  })
  const flushNow = () => {
    scheduled = false
    const text = waiting
    waiting = ''
    if (text === '' || closed) return
    writes++
    const mine = writes
    const isUpToDate = stream.write(text, () => {
      if (mine === writes) drained()
    })
    if (isUpToDate || draining !== undefined) return
    let resolve = () => {}
    const promise = new Promise<void>((done) => {
      resolve = done
    })
    draining = { promise, resolve }
  }
  return {
    write(text) {
      waiting += text
      if (scheduled) return
      scheduled = true
      schedule(flushNow)
    },
    drained: () => draining?.promise,
    flushNow,
    delivered: () =>
      new Promise((resolve) => {
        flushNow()
        if (closed) resolve(false)
        else stream.write('', (error) => resolve(!error && !closed))
      }),
    flush: () =>
      new Promise((resolve) => {
        flushNow()
        if (closed) resolve()
        else stream.write('', () => resolve())
      }),
  }
}
