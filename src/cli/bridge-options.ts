import { type Command, InvalidArgumentError, Option } from 'commander'
import { PROTOCOLS, TRANSPORTS } from '../usecases/inputs.js'
import { LOG_LEVELS } from '../util/logger.js'
import { addNetworkOptions, gather } from './network-options.js'
import { addSignInOptions } from './sign-in-options.js'

const LONGEST_WAIT_S = 3_600

/** Adds the flags of the bridge. */
export function addBridgeOptions(command: Command): Command {
  return addNetworkOptions(addSignInOptions(command))
    .addOption(
      new Option('--header <header>', 'Header for the target, "Name: value"; repeatable.')
        .argParser(gather)
        .default([], 'none'),
    )
    .addOption(
      new Option('--transport <kind>', 'How the target speaks MCP.')
        .choices(TRANSPORTS)
        .default('auto'),
    )
    .addOption(
      new Option('--protocol <version>', 'Which versions of MCP to use with the target.')
        .choices(PROTOCOLS)
        .default('auto'),
    )
    .addOption(new Option('--log-level <level>', 'How much to say.').choices(LOG_LEVELS))
    .option('--log-file <file>', 'Write the log there too, at most 5 files of 1 MB.')
    .option('--login-wait <seconds>', 'How long a call waits for a sign-in.', parseWait, 25)
    .option('--wait-for-login', 'Answer nothing before somebody signed in.', false)
}

function parseWait(text: string): number {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : -1
  if (seconds >= 0 && seconds <= LONGEST_WAIT_S) return seconds
  throw new InvalidArgumentError(`Expected a number of seconds up to ${LONGEST_WAIT_S}.`)
}
