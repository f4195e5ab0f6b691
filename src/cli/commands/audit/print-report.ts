import type { VerifyReport } from '../../../audit/verify.js'
import { createColors } from '../../../util/colors.js'
import { printable } from '../../../util/redact.js'
import type { Runtime } from '../../../util/runtime.js'

/** Prints what was found in audit files. */
export function printAuditReport(
  runtime: Runtime,
  { ok, records, lost, writers, problems, moreProblems }: VerifyReport,
): void {
  const { red, green, dim } = createColors(runtime, 'out')
  const lines = problems.map(({ file, line, problem }) =>
    red(`${printable(file)}:${line}: ${printable(problem)}`),
  )
  if (moreProblems > 0) lines.push(red(amount(moreProblems, 'more problem')))
  const sum = `${amount(records, 'record')} of ${amount(writers.length, 'writer')}`
  const wrong = amount(problems.length + moreProblems, 'problem')
  lines.push(ok ? green(`${sum}, whole and unchanged`) : red(`NOT INTACT: ${wrong} in ${sum}`))
  if (lost > 0) lines.push(`${amount(lost, 'record')} were dropped by the proxy, as it says itself`)
  for (const { writer, from, to, head, stopped, followed } of writers) {
    if (followed) continue
    const end = stopped
      ? 'ended in order'
      : 'no `stop` record: still running, killed, or the last lines were cut off'
    lines.push(`head ${head}  ${dim(`writer ${writer}, records ${from} to ${to}, ${end}`)}`)
  }
  runtime.io.out(`${lines.join('\n')}\n`)
}

function amount(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
