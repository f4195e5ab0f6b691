import { type Command, Option } from 'commander'
import { MIB } from '../util/bounded-file.js'

/** All authorities of a system fit into a tenth of it. */
export const MAX_PEM_BYTES = 8 * MIB

/** Collects the values of a flag that is repeatable. */
export function gather(value: string, previous: readonly string[]): string[] {
  return [...previous, value]
}

/** Adds the flags that say how others are reached. */
export function addNetworkOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--ca <file>', 'PEM file of a further certificate authority; repeatable.')
        .argParser(gather)
        .default([], 'none'),
    )
    .option('--use-system-ca', "Trust this machine's certificate authorities too.", false)
    .option('--no-proxy-env', 'Connect directly, whatever HTTPS_PROXY and the others say.')
    .option('--ipv4', 'Connect by IPv4 only.', false)
    .option('--allow-http', 'Send tokens over plain http to other machines too.', false)
}
