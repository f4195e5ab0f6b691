import { Command, Option } from 'commander'
import { exitWith } from '../../usecases/exit-codes.js'
import { type BridgeFlags, PROTOCOLS, TRANSPORTS } from '../../usecases/inputs.js'
import { LOG_LEVELS } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import {
  addNetworkOptions,
  addSignInOptions,
  parseSeconds,
  readFlags,
  repeatable,
} from '../options.js'

const AFTER_HELP = `
Started by an assistant, which speaks MCP on stdin and stdout. Ends when stdin is closed.
Each flag has a variable: MCP_DESCOPE_ and its name. Tokens and secrets come from the environment
only: MCP_DESCOPE_TOKEN, MCP_DESCOPE_CLIENT_ID, MCP_DESCOPE_CLIENT_SECRET.`

/** Declares `stdio`: the bridge. */
export function stdioCommand(runtime: Runtime): Command {
  const command = new Command('stdio')
    .description('Bridge stdio to an MCP server over HTTP, signing in through Descope once.')
    .argument(
      '[target-or-url]',
      'name of a configured target, or a URL; by default all that are configured',
    )
  return addBridgeOptions(command)
    .addHelpText('after', AFTER_HELP)
    .action(async (argument: string | undefined) => {
      const { runBridge } = await import('../../usecases/run-bridge/run-bridge.js')
      exitWith(await runBridge(runtime, argument, readFlags<BridgeFlags>(command, runtime.env)))
    })
}

function addBridgeOptions(command: Command): Command {
  return addNetworkOptions(addSignInOptions(command))
    .addOption(repeatable('--header <header>', 'Header for the target, "Name: value"; repeatable.'))
    .addOption(
      new Option('--transport <kind>', 'Transport of the target.')
        .choices(TRANSPORTS)
        .default('auto'),
    )
    .addOption(
      new Option('--protocol <version>', 'Which versions of MCP to use with the target.')
        .choices(PROTOCOLS)
        .default('auto'),
    )
    .addOption(new Option('--log-level <level>', 'Minimum level of log lines.').choices(LOG_LEVELS))
    .option('--log-file <file>', 'Write the log there too, at most 5 files of 1 MB.')
    .option('--login-wait <seconds>', 'How long a call waits for a sign-in.', parseSeconds, 25)
    .option('--wait-for-login', 'Answer no request before somebody has signed in.', false)
}
