import type { Clock } from '../util/runtime.js'
import type { OpenRequest } from './requests.js'

/** Why a request does not go to the target yet. */
export type Reason = 'connection' | 'sign-in'

/** The requests that wait for something else than the target's answer. */
export class Held {
  readonly #clock: Clock
  readonly #waiting = new Map<OpenRequest, Reason>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** @param ms 0 waits for ever. */
  add(request: OpenRequest, reason: Reason, ms: number, onTimeout: () => void): void {
    this.#waiting.set(request, reason)
    const cancel = ms > 0 ? this.#clock.after(ms, onTimeout) : () => {}
    request.stopWaiting = () => {
      cancel()
      this.#waiting.delete(request)
    }
  }

  /** Takes out all that wait, or all that wait for one reason. */
  take(only?: Reason): OpenRequest[] {
    const taken = [...this.#waiting].filter(([, reason]) => only === undefined || reason === only)
    for (const [request, reason] of taken) {
      request.stopWaiting()
      if (reason === 'sign-in') request.sentAgain = true
    }
    return taken.map(([request]) => request)
  }
}
