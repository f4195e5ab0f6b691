import { type Command, InvalidArgumentError, Option } from 'commander'
import { STORE_CHOICES } from '../auth/tokens/store/data-key.js'
import { LOOKUPS, VARIABLES_OF_FLAGS } from '../config/table.js'
import { CALLBACK_HOSTS, LOGIN_METHODS } from '../sign-in/options.js'
import { ProxyError } from '../util/errors.js'
import { setMember } from '../util/json.js'
import type { Runtime } from '../util/runtime.js'

export function addJsonOption(command: Command): Command {
  return command.option('--json', 'Print one JSON document on stdout.')
}

/** Makes an option that may be given several times. */
export function repeatable(flags: string, help: string): Option {
  return new Option(flags, help)
    .argParser((value: string, previous: readonly string[]) => [...previous, value])
    .default([], 'none')
}

export function addNetworkOptions(command: Command): Command {
  return command
    .addOption(
      repeatable('--ca <file>', 'PEM file of a further certificate authority; repeatable.'),
    )
    .option('--use-system-ca', "Trust this machine's certificate authorities too.", false)
    .option('--no-proxy-env', 'Connect directly, whatever HTTPS_PROXY and the others say.')
    .option('--ipv4', 'Connect by IPv4 only.', false)
    .option('--allow-http', 'Send tokens over plain http to other machines too.', false)
}

/** Adds the flags that select stored tokens. */
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
    .option('--no-browser', 'Show the URL, and open no browser.')
    .addOption(
      new Option('--callback-host <host>', 'Host name of this machine in the redirect URI.')
        .choices(CALLBACK_HOSTS)
        .default('127.0.0.1'),
    )
    .option(
      '--callback-port <port>',
      'Callback port; by default the first free one of several.',
      parsePort,
    )
    .option(
      '--no-resource',
      'Do not send the resource parameter (RFC 8707), which some servers refuse.',
    )
    .option('--scope <scopes>', 'Scopes to request, separated by spaces.')
}

const LONGEST_S = 3_600

/** Parses a number of seconds, 0 and fractions included. */
export function parseSeconds(text: string): number {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : -1
  if (seconds >= 0 && seconds <= LONGEST_S) return seconds
  throw new InvalidArgumentError(`Expected a number of seconds up to ${LONGEST_S}.`)
}

/** Rejects at the first SIGINT, SIGTERM or SIGHUP, which ends the command. */
export function interruption({ onSignal }: Pick<Runtime, 'onSignal'>): Promise<never> {
  return new Promise<never>((_resolve, reject) => {
    onSignal(() => reject(new ProxyError('INTERRUPTED', 'Interrupted')))
  })
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 65_535) throw new InvalidArgumentError('Expected a port from 1 to 65535.')
  return port
}

/**
 * Reads the flags of a command; a variable of the environment replaces an absent flag. The variable
 * of a repeatable flag holds one value per line.
 *
 * @throws {ProxyError} `USAGE`
 */
export function readFlags<Flags extends object>(command: Command, env: Runtime['env']): Flags {
  const flags: Record<string, unknown> = { ...command.opts() }
  for (const option of command.options) {
    const variable = `MCP_DESCOPE_${option.long?.slice(2).replaceAll('-', '_').toUpperCase()}`
    const text = VARIABLES_OF_FLAGS.includes(variable) && env[variable]
    const name = option.attributeName()
    if (!text || command.getOptionValueSource(name) === 'cli') continue
    setMember(flags, name, readVariable(option, text, variable))
  }
  return flags as Flags
}

function readVariable(option: Option, text: string, variable: string): unknown {
  const wrong = (expected: string) =>
    new ProxyError('USAGE', `${variable} is ${JSON.stringify(text)}`, {
      hint: `Write ${expected}.`,
    })
  if (option.isBoolean() || option.negate) {
    if (!/^(true|false|1|0)$/.test(text)) throw wrong('true or false')
    return (text === 'true' || text === '1') !== option.negate
  }
  if (option.argChoices !== undefined && !option.argChoices.includes(text)) {
    throw wrong(`one of ${option.argChoices.join(', ')}`)
  }
  if (Array.isArray(option.defaultValue)) {
    return text.split(/\r?\n/).filter((line) => line.trim() !== '')
  }
  try {
    return option.parseArg === undefined ? text : option.parseArg(text, undefined)
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw wrong(error.message.replace(/^Expected |\.$/g, ''))
  }
}
