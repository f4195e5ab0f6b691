import { Command } from 'commander'
import { exitWith } from '../../usecases/exit-codes.js'
import type { CheckFlags } from '../../usecases/inputs.js'
import type { Runtime } from '../../util/runtime.js'
import { addCheckOptions } from '../check-options.js'
import { interruption } from '../options.js'

const AFTER_HELP = `
Without a sign-in: static tokens as --header, TARGET_TOKEN or the configured credential. Behind
Descope: MCP_DESCOPE_CLIENT_ID and MCP_DESCOPE_CLIENT_SECRET, MCP_DESCOPE_TOKEN, or a sign-in that
is kept. No browser is ever opened.

  --call 'search {"query":"ping"} expect {"contains":"pong"}'

Exits 0 when all is well, 1 when a check fails, 2 for wrong usage, 3 when somebody has to sign in
or a credential is refused, 4 when the target cannot be reached or a gateway answers 502, 503 or 504
in its place, 5 when a tool fails, 6 when the answers are not valid MCP. Of several the first of 2, 4, 3, 6, 5, 1 counts.`

/** Declares `test-target`: the smoke test for CI. `run` is replaced in tests of the flags. */
export function testTargetCommand(runtime: Runtime, run = runTestTarget): Command {
  const command = new Command('test-target')
    .description('Check an MCP server end to end: network, authorization, protocol, contents.')
    .argument('[target-or-url]', 'name of a configured target, or a URL')
  return addCheckOptions(command)
    .addHelpText('after', AFTER_HELP)
    .action(async (argument: string | undefined, flags: CheckFlags) => {
      exitWith(await run(runtime, argument, flags))
    })
}

async function runTestTarget(
  runtime: Runtime,
  argument: string | undefined,
  flags: CheckFlags,
): Promise<number> {
  const [{ checkTarget }, { createReporter }, { failureOf }] = await Promise.all([
    import('../../usecases/test-target/test-target.js'),
    import('../check-report.js'),
    import('../../usecases/exit-codes.js'),
  ])
  const reporter = createReporter(runtime, flags)
  const checking = checkTarget(runtime, argument, flags, reporter)
  const { report, worst } = await Promise.race([checking, interruption(runtime)])
  reporter.finish(report)
  if (flags.json && worst !== undefined) throw failureOf(report.checks, worst)
  return report.exitCode
}
