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
  if (moreProblems > 0) lines.push(red(`${moreProblems} more problems`))
  const sum = `${amount(records, 'record')} of ${amount(writers.length, 'writer')}`
  lines.push(ok ? green(`${sum}, whole and unchanged`) : red(`${sum}, not whole or changed`))
  if (lost > 0) lines.push(`${amount(lost, 'record')} were dropped by the proxy, as it says itself`)
  for (const { writer, from, to, head, stopped, followed } of writers) {
    if (followed) continue
    const end = stopped ? 'ended in order' : 'no end: it still runs, or was killed'
    lines.push(`head ${head}  ${dim(`writer ${writer}, records ${from} to ${to}, ${end}`)}`)
  }
  runtime.io.out(`${lines.join('\n')}\n`)
}

function amount(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}
