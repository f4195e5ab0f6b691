import { atMost, type Gate } from '../gates.js'
import { median, medianRatio } from '../statistics.js'
import type { CheckResults } from '../suites/checks.js'
import { renderTable } from '../table.js'
import { PROGRAM_TITLES, PROGRAMS, type ProgramName } from './programs.js'

const MAX_OF_INSPECTOR = 0.5

/** What `test-target` must reach, whatever the machine. */
export function checkCheckGates(results: CheckResults | undefined): Gate[] {
  if (results === undefined) return []
  const ratio = timeRatio(results, 'test-target', 'inspector')
  return [atMost('a healthy target × inspector --cli', MAX_OF_INSPECTOR, ratio)]
}

/** A table of ratios, with what was left out, or '' when it was not measured. */
export function renderChecks(results: CheckResults | undefined): string {
  if (results === undefined) return ''
  const table = renderTable(
    'A healthy target on loopback, looked at once',
    [
      ['× node -e 0', (name) => timeRatio(results, name, 'nothing')],
      ['× inspector', (name) => timeRatio(results, name, 'inspector')],
      ['ms', (name) => roundedMedian(results.times.get(name))],
    ],
    PROGRAMS.filter((name) => results.times.has(name)),
    PROGRAM_TITLES,
  )
  const { problem } = results
  return problem === undefined
    ? table
    : `${table}\nLeft out: the inspector cannot be had (${problem}).`
}

function timeRatio({ times }: CheckResults, own: ProgramName, reference: ProgramName) {
  return medianRatio(times.get(own), times.get(reference), (ms) => ms)
}

function roundedMedian(times: number[] | undefined): number | undefined {
  return times && Math.round(median(times))
}
