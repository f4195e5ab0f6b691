import { messageOf, ProxyError } from '../util/errors.js'
import type { Clock } from '../util/runtime.js'

/** One step that succeeded. */
export interface DemoStep {
  /** Stable word for programs. */
  id: string
  /** What was done, for people. */
  title: string
  detail: string
  ms: number
}

export interface Steps {
  /** Those that succeeded, in order. */
  readonly steps: readonly DemoStep[]
  /**
   * Takes one step.
   *
   * @param describe Describes the result in a few words.
   * @throws {ProxyError} `CHECK_FAILED` naming the step, or `INTERRUPTED`.
   */
  step<T>(
    id: string,
    title: string,
    act: () => Promise<T>,
    describe: (result: T) => string,
  ): Promise<T>
}

/**
 * Creates the record of steps.
 *
 * @param onStep Called after each step that succeeded.
 * @param signal No step begins after it aborts.
 */
export function createSteps(
  clock: Pick<Clock, 'now'>,
  onStep: (step: DemoStep) => void,
  signal?: AbortSignal,
): Steps {
  const steps: DemoStep[] = []
  return {
    steps,
    async step(id, title, act, describe) {
      if (signal?.aborted) throw new ProxyError('INTERRUPTED', 'The demo was interrupted')
      const began = clock.now()
      try {
        const result = await act()
        const done = { id, title, detail: describe(result), ms: clock.now() - began }
        steps.push(done)
        onStep(done)
        return result
      } catch (error) {
        throw stepFailed(title, error)
      }
    },
  }
}

function stepFailed(title: string, error: unknown): ProxyError {
  return new ProxyError('CHECK_FAILED', `The step "${title}" failed: ${messageOf(error)}`, {
    hint:
      error instanceof ProxyError && error.hint !== undefined
        ? error.hint
        : 'Run `mcp-descope-proxy demo --once --log-level debug` to see what led to it.',
    cause: error,
  })
}
