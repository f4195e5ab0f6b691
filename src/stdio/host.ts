import type { Io } from '../util/runtime.js'

/** The program that started us: it reads our stdout. */
export interface Host {
  /** Sends one message as one line; later messages go behind it. */
  send(message: string): void
  /** The host reads too slowly for more. */
  readonly isBehind: boolean
  /** Calls back once when it has caught up. */
  whenReady(callback: () => void): void
}

/** Creates the way to the host. Nothing else may write to stdout. */
export function createHost(io: Pick<Io, 'out' | 'outDrained'>): Host {
  const waiting: (() => void)[] = []
  let behind = false
  return {
    send(message) {
      // between the members of a message line breaks mean nothing, and in strings there are none
      io.out(`${/[\r\n]/.test(message) ? message.replace(/[\r\n]+/g, ' ') : message}\n`)
      const drained = io.outDrained?.()
      if (drained === undefined || behind) return
      behind = true
      void drained.then(() => {
        behind = false
        for (const callback of waiting.splice(0)) callback()
      })
    },
    get isBehind() {
      return behind
    },
    whenReady(callback) {
      if (behind) waiting.push(callback)
      else callback()
    },
  }
}
