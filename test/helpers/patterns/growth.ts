import vm from 'node:vm'

/** Sizes between which work is compared. Twice the text may take twice the work. */
const SIZES = [50_000, 100_000] as const
/** Milliseconds in which the larger size is done at once: ten thousand million steps take longer. */
const FLOOR = 20
/**
 * As other programs disturb the caches and the collector runs when it likes, each size's shortest
 * time counts, and an odd one is tried more often.
 */
const ENOUGH = 3
const ROUNDS = 40
const CLEAR = 2.5
/** What is far from linear stays so after a few rounds. */
const CLEARLY_NOT = 3.5
const ENOUGH_TO_REFUSE = 8
/** So long takes nothing but work that grows too fast, and once is enough to see it. */
const SLOW = 500
/** Ends what would never end. Linear work takes a hundredth of it at most. */
const LIMIT = 1_000
/** So much of a limit was work, and not waiting for a processor, where the work is what was slow. */
const WORKED = 0.5
const MOST_TRIES = 6

const context = vm.createContext({ work: undefined })
const script = new vm.Script('work()')

/** Milliseconds that this process has worked: on a busy machine a clock counts what others do, too. */
export function worked(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/**
 * Runs work that may never end; `false` when it was ended. What hardly got a processor in its time
 * begins anew.
 */
export function runLimited(work: () => void, limit = LIMIT): boolean {
  context['work'] = work
  for (let tries = 1; ; tries++) {
    const before = worked()
    try {
      script.runInContext(context, { timeout: limit })
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
      if (tries === MOST_TRIES || worked() - before > limit * WORKED) return false
    }
  }
}

/**
 * Tells how the work on hostile text of 100 KB compares with that on 50 KB: about 2 where it is
 * linear, 4 where it is quadratic. What is done at once counts as 0, what does not end as infinite.
 */
export function growthOf(
  write: (length: number) => string,
  work: (text: string) => unknown,
): number {
  const [small, large] = SIZES.map(write) as [string, string]
  const times = { small: Infinity, large: Infinity }
  for (let round = 0; round < ROUNDS; round++) {
    times.small = Math.min(
      times.small,
      measure(() => work(small)),
    )
    if (times.small === Infinity) return Infinity
    times.large = Math.min(
      times.large,
      measure(() => work(large)),
    )
    if (times.large === Infinity) return Infinity
    if (times.large < FLOOR) return 0
    if (times.large > SLOW) break
    const growth = times.large / times.small
    if (round >= ENOUGH && growth < CLEAR) break
    if (round >= ENOUGH_TO_REFUSE && growth > CLEARLY_NOT) break
  }
  return times.large / times.small
}

function measure(work: () => unknown): number {
  let before = 0
  const isDone = runLimited(() => {
    before = worked()
    work()
  })
  return isDone ? worked() - before : Infinity
}
