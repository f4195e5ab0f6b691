import { ProxyError } from '../util/errors.js'
import type { Clock } from '../util/runtime.js'
import { createGlobMatcher } from '../util/text.js'
import { type Check, type CheckReport, type FailureCode, skip, type Verdict } from './check.js'
import { toVerdict } from './explain.js'

export interface RunOptions {
  clock: Pick<Clock, 'now'>
  /** Globs of ids to run; empty: all. */
  only: readonly string[]
  /** Globs of ids to leave out. */
  leaveOut: readonly string[]
  /** Ids whose failure is expected, and the file that lists them. */
  baseline: { readonly ids: ReadonlySet<string>; readonly file: string } | undefined
  /** Removes secrets and control characters from a text. */
  clean: (text: string) => string
  /** Called with each result as it arrives. */
  onReport?: ((report: CheckReport) => void) | undefined
}

/** The results in order, and the codes of unexpected failures. */
export interface RunResult {
  readonly reports: readonly CheckReport[]
  readonly failures: readonly FailureCode[]
}

/**
 * Runs checks in order. Checks that need a failed one are skipped with the reason. A check that `only`
 * does not name still runs when another one needs it, and is reported if it fails.
 *
 * @throws {ProxyError} `USAGE` when nothing is left to run.
 */
export async function runChecks(checks: readonly Check[], options: RunOptions): Promise<RunResult> {
  const { clock, baseline } = options
  const wanted = choose(checks, options)
  const needed = neededBy(checks, wanted, createGlobMatcher(options.leaveOut))
  const failed = new Map<string, string>()
  const reports: CheckReport[] = []
  const failures: FailureCode[] = []
  for (const { id, prepare } of checks) {
    // the check that needs the module meets the same failure
    if (needed.has(id)) prepare?.().catch(() => undefined)
  }
  for (const check of checks) {
    const isWanted = wanted.has(check.id)
    if (!isWanted && !needed.has(check.id)) continue
    const began = clock.now()
    const blocker = check.needs.find((id) => failed.has(id))
    const root = blocker === undefined ? undefined : failed.get(blocker)
    const found =
      root === undefined ? await settle(check) : skip(`not checked, because ${root} failed`)
    if (found.outcome === 'fail') failed.set(check.id, check.id)
    else if (root !== undefined) failed.set(check.id, root)
    else if (found.blockedBy !== undefined) failed.set(check.id, found.blockedBy)
    if (!isWanted && found.outcome !== 'fail') continue
    const verdict = withBaseline(check.id, found, baseline)
    if (verdict.code !== undefined) failures.push(verdict.code)
    const report = toReport(check.id, verdict, Math.round(clock.now() - began), options.clean)
    reports.push(report)
    options.onReport?.(report)
  }
  return { reports, failures }
}

async function settle(check: Check): Promise<Verdict> {
  try {
    return await check.run()
  } catch (error) {
    return toVerdict(error)
  }
}

function choose(checks: readonly Check[], { only, leaveOut }: RunOptions): Set<string> {
  const ids = checks.map(({ id }) => id)
  for (const pattern of [...only, ...leaveOut]) {
    if (ids.some(createGlobMatcher([pattern]))) continue
    throw new ProxyError('USAGE', `No check is named ${JSON.stringify(pattern)}`, {
      hint: `The checks are ${ids.join(' ')}.`,
    })
  }
  const isIn = only.length === 0 ? () => true : createGlobMatcher(only)
  const isOut = createGlobMatcher(leaveOut)
  const wanted = ids.filter((id) => isIn(id) && !isOut(id))
  if (wanted.length > 0) return new Set(wanted)
  throw new ProxyError('USAGE', 'Nothing is left to check', {
    hint: 'Every check was excluded: remove a `--skip`.',
  })
}

/** Returns what must run. A check that `--skip` names does not run even if others need it. */
function neededBy(
  checks: readonly Check[],
  wanted: ReadonlySet<string>,
  isOut: (id: string) => boolean,
): Set<string> {
  const needed = new Set(wanted)
  // backwards, because checks come after those that they need
  for (const { id, needs } of checks.toReversed()) {
    if (needed.has(id)) for (const need of needs) needed.add(need)
  }
  return new Set([...needed].filter((id) => !isOut(id)))
}

type Known = Verdict & { expected?: true }

function withBaseline(id: string, verdict: Verdict, baseline: RunOptions['baseline']): Known {
  if (!baseline?.ids.has(id)) return verdict
  const { outcome, detail, hint = '' } = verdict
  if (outcome === 'skip') return verdict
  if (outcome !== 'pass') {
    return { outcome: 'warn', detail: `expected: ${detail}`, hint, expected: true }
  }
  return {
    outcome: 'fail',
    detail: `passes (${detail}), although a failure is expected`,
    hint: `Remove ${id} from ${baseline.file}.`,
    code: 'CHECK_FAILED',
  }
}

function toReport(id: string, verdict: Known, ms: number, clean: RunOptions['clean']): CheckReport {
  const { outcome, detail, hint, expected } = verdict
  return {
    id: clean(id),
    outcome,
    detail: clean(detail),
    hint: hint === undefined ? null : clean(hint),
    ms,
    ...(expected && { expected }),
  }
}
