import { Command, InvalidArgumentError, Option } from 'commander'
import { exitWith } from '../../usecases/exit-codes.js'
import { LOG_FORMATS, LOG_LEVELS } from '../../util/logger.js'
import type { Runtime } from '../../util/runtime.js'
import { addJsonOption } from '../options.js'
import type { IdentityFlags } from './demo/identity.js'
import type { DemoFlags } from './demo/parts.js'

/** Declares `demo`: the whole chain on embedded parts, and each part alone. */
export function demoCommand(runtime: Runtime): Command {
  const command = new Command('demo')
    .description(
      'Start a Descope emulator, an example MCP server and the proxy, let a real client sign in and call a tool. Nothing leaves this machine.',
    )
    .option('--once', 'Stop when everything worked, instead of at Ctrl-C.', false)
    // Otherwise `demo target --port 1` would set the port of `demo`.
    .enablePositionalOptions()
    .addCommand(identityCommand(runtime))
    .addCommand(targetCommand(runtime))
  return addDemoOptions(command, 'Port of the proxy')
    .addHelpText('after', '\nExits 1 and names the step when one fails.')
    .action(async (flags: DemoFlags & { once: boolean }) => {
      const { runDemoCommand } = await import('./demo/run.js')
      exitWith(await runDemoCommand(runtime, flags))
    })
}

function identityCommand(runtime: Runtime): Command {
  const command = new Command('identity')
    .summary('run the Descope emulator alone')
    .description('Run the Descope emulator alone and print the DESCOPE_CONFIG_URL to use.')
  return addDemoOptions(command, 'Port to listen on')
    .addOption(
      new Option('--issuer <form>', 'Format of "iss" in access tokens')
        .choices(['project', 'agentic', 'tenant', 'bare', 'project-url'])
        .default(undefined, 'project'),
    )
    .option('--scopes <scopes>', 'Scopes of the MCP server, separated by spaces', parseScopes)
    .option('--ttl <seconds>', 'Lifetime of an access token', parseSeconds)
    .option('--state <folder>', 'Keep project, keys, clients, connections and port in this folder')
    .option(
      '--client-id <id>',
      'Create a client for CI (env: MCP_DESCOPE_CLIENT_ID)',
      parseClientId,
    )
    .option('--options <file>', "The emulator's options, as a JSON object")
    .addHelpText(
      'after',
      '\nThe secret of the client comes from MCP_DESCOPE_CLIENT_SECRET; without it, one is generated and printed.',
    )
    .action(async (flags: IdentityFlags) => {
      const { runIdentity } = await import('./demo/identity.js')
      exitWith(await runIdentity(runtime, flags))
    })
}

function targetCommand(runtime: Runtime): Command {
  const command = new Command('target')
    .summary('run the example MCP server alone')
    .description('Run the example MCP server alone and print the TARGET_MCP_SERVER_URL to use.')
  return addDemoOptions(command, 'Port to listen on')
    .addHelpText('after', '\nWith TARGET_API_TOKEN in the environment, it requires that token.')
    .action(async (flags: DemoFlags) => {
      const { runTarget } = await import('./demo/parts.js')
      exitWith(await runTarget(runtime, flags))
    })
}

function addDemoOptions(command: Command, port: string): Command {
  return addJsonOption(command)
    .addOption(
      new Option('--port <number>', `${port}; 0 picks a free one`).default(0).argParser(parsePort),
    )
    .addOption(new Option('--log-level <level>', 'Minimum level of log lines').choices(LOG_LEVELS))
    .addOption(
      new Option('--log-format <format>', 'Format of log lines')
        .choices(LOG_FORMATS)
        .default('text'),
    )
}

function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) {
    throw new InvalidArgumentError('Expected a whole number from 0 to 65535.')
  }
  return Number(text)
}

function parseScopes(text: string): string[] {
  const scopes = text.split(' ').filter((scope) => scope !== '')
  // RFC 6749 §3.3
  if (scopes.length === 0 || scopes.some((scope) => !/^[!#-[\]-~]+$/.test(scope))) {
    throw new InvalidArgumentError('Expected scopes such as "mcp:use tools:read".')
  }
  return scopes
}

function parseClientId(text: string): string {
  // RFC 6749 appendix A.1
  if (!/^[ -~]+$/.test(text)) throw new InvalidArgumentError('Expected an id such as "ci".')
  return text
}

function parseSeconds(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) {
    throw new InvalidArgumentError('Expected a whole number of seconds, 1 or more.')
  }
  return Number(text)
}
