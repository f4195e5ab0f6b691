import { Command } from 'commander'
import { ProxyError } from '../../util/errors.js'
import type { Runtime } from '../../util/runtime.js'
import { addCheckedOptions, type CheckFlags, NO_CHECK_FLAGS } from '../check-options.js'
import { exitWith } from '../exit.js'

/** Flags of `inspect`. */
export interface InspectFlags extends CheckFlags {
  trace: boolean
  curl: boolean
}

/** Declares `inspect`: every link of the chain, for people. `run` is replaced in tests of the flags. */
export function inspectCommand(runtime: Runtime, run = runInspect): Command {
  const command = new Command('inspect')
    .description('Show every link of the chain to an MCP server, and what is wrong with it.')
    .argument('[target-or-url]', 'name of a configured target, or a URL')
  return addCheckedOptions(command)
    .option('--trace', 'Print each HTTP exchange on stderr, without secrets.', false)
    .option('--curl', 'Print the same request for curl.', false)
    .addHelpText('after', '\nNever asks anybody to sign in. Exits as test-target does.')
    .action(async (argument: string | undefined, flags: InspectFlags) => {
      exitWith(await run(runtime, argument, { ...NO_CHECK_FLAGS, ...flags }))
    })
}

async function runInspect(
  runtime: Runtime,
  argument: string | undefined,
  flags: InspectFlags,
): Promise<number> {
  const [{ checkTarget }, { createInspection }] = await Promise.all([
    import('../check-target.js'),
    import('../inspection.js'),
  ])
  const inspection = createInspection(runtime, flags)
  const interrupted = new Promise<never>((_resolve, reject) => {
    runtime.onSignal(() => reject(new ProxyError('INTERRUPTED', 'Interrupted')))
  })
  const result = await Promise.race([
    checkTarget(runtime, argument, flags, inspection),
    interrupted,
  ])
  inspection.finish(result)
  return result.report.exitCode
}
