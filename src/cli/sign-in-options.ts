import { type Command, InvalidArgumentError, Option } from 'commander'
import { STORE_CHOICES } from '../auth/tokens/store/data-key.js'
import { LOOKUPS } from '../config/table.js'
import { CALLBACK_HOSTS } from '../sign-in/ports.js'
import { LOGIN_METHODS } from '../sign-in/status.js'

/** Adds the flags that say whose tokens are meant and where they are. */
export function addStoreOptions(command: Command): Command {
  for (const { flag, help } of LOOKUPS) command.addOption(new Option(flag, help))
  return command
    .option('--client-id <id>', 'Client that is registered already (env: MCP_DESCOPE_CLIENT_ID).')
    .option(
      '--client-metadata-url <url>',
      'Client ID metadata document (env: MCP_DESCOPE_CLIENT_METADATA_URL).',
    )
    .addOption(
      new Option('--store <kind>', 'Where tokens are kept.').choices(STORE_CHOICES).default('auto'),
    )
}

/** Adds the flags that say how to sign in. */
export function addSignInOptions(command: Command): Command {
  return addStoreOptions(command)
    .addOption(
      new Option('--login <way>', 'How to sign in.').choices(LOGIN_METHODS).default('auto'),
    )
    .option('--no-browser', 'Show the URL and open nothing.')
    .addOption(
      new Option('--callback-host <host>', 'This machine, as the redirect URI names it.')
        .choices(CALLBACK_HOSTS)
        .default('127.0.0.1'),
    )
    .option('--callback-port <port>', 'The one port to use for the answer.', parsePort)
    .option('--no-resource', 'Do not say what the token is for (RFC 8707); some servers refuse it.')
    .option('--scope <scopes>', 'Scopes to ask for, separated by spaces.')
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('Expected a port from 1 to 65535.')
  return port
}
