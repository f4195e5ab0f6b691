import { Command } from 'commander'
import { exitWith } from '../../usecases/exit-codes.js'
import { type InspectFlags, NO_CHECK_FLAGS } from '../../usecases/inputs.js'
import type { Runtime } from '../../util/runtime.js'
import { addCheckedOptions } from '../check-options.js'
import { interruption } from '../options.js'

/** Declares `inspect`: every link of the chain, for people. `run` is replaced in tests of the flags. */
export function inspectCommand(runtime: Runtime, run = runInspect): Command {
  const command = new Command('inspect')
    .description('Show every link of the chain to an MCP server, and what is wrong with it.')
    .argument(
      '[target-or-url]',
      'name of a configured target, or a URL; without it, all that is configured',
    )
  return addCheckedOptions(command)
    .option('--trace', 'Print each HTTP exchange on stderr, without secrets.', false)
    .option('--curl', 'Print the same request for curl.', false)
    .addHelpText('after', '\nNever starts a sign-in. Exits as test-target does.')
    .action(async (argument: string | undefined, flags: InspectFlags) => {
      exitWith(await run(runtime, argument, { ...NO_CHECK_FLAGS, ...flags }))
    })
}

async function runInspect(
  runtime: Runtime,
  argument: string | undefined,
  flags: InspectFlags,
): Promise<number> {
  const { printConfiguration, printTarget } = await import('../print-inspection.js')
  const inspecting =
    argument === undefined
      ? printConfiguration(runtime, flags)
      : printTarget(runtime, argument, flags)
  return await Promise.race([inspecting, interruption(runtime)])
}
