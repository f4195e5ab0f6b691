import { Command, InvalidArgumentError, Option } from 'commander'
import { LOOKUPS } from '../../config/table.js'
import { EXIT, exitWith } from '../../usecases/exit-codes.js'
import type { Runtime } from '../../util/runtime.js'
import { addJsonOption, repeatable } from '../options.js'

interface Given {
  json?: boolean
  config?: string
  profile?: string
  after: readonly string[]
  head: readonly string[]
}

/** Declares `audit` and what belongs to it. */
export function auditCommand(runtime: Runtime): Command {
  return new Command('audit').description('Check the audit trail.').addCommand(verify(runtime))
}

function verify(runtime: Runtime): Command {
  const command = new Command('verify')
    .summary('tell whether audit files are whole and unchanged')
    .description(
      'Tell whether audit files are whole and unchanged: the files in their order, the oldest first; .gz too, and - for stdin.',
    )
    .argument('[file...]', 'the files; by default that of audit.file')
    .addOption(hashes('--after <hash>', 'Hash of a record before these files, where they begin.'))
    .addOption(hashes('--head <hash>', 'Hash of a record that must be in these files.'))
    .addHelpText(
      'after',
      `
It prints the hash of the last record of each writer, the head. Keep it elsewhere, and give it as
--head the next time: what is cut off at the end shows by nothing else. Exits 1 when something is wrong.`,
    )
  for (const { flag, help } of LOOKUPS) command.addOption(new Option(flag, help))
  return addJsonOption(command).action(
    async (files: string[], { json = false, after, head: heads, ...flags }: Given) => {
      const { verifyAudit } = await import('../../usecases/verify-audit.js')
      const report = await verifyAudit(runtime, flags, { files, after, heads })
      if (json) runtime.io.out(`${JSON.stringify(report)}\n`)
      else {
        const { printAuditReport } = await import('./audit/print-report.js')
        printAuditReport(runtime, report)
      }
      exitWith(report.ok ? EXIT.ok : EXIT.failed)
    },
  )
}

function hashes(flags: string, help: string) {
  return repeatable(flags, `${help.replace(/\.$/, '')}; repeatable.`).argParser(
    (value: string, previous: readonly string[]) => {
      if (!/^[\w-]{43}$/.test(value)) {
        throw new InvalidArgumentError('It must be the hash of a record, 43 characters.')
      }
      return [...previous, value]
    },
  )
}
