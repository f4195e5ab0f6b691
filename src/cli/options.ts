import { type Command, Option } from 'commander'
import { type Flags, SETTINGS } from '../config/settings.js'
import { LOOKUPS, type Setting, type SettingsCommand } from '../config/table.js'
import { setMember } from '../util/json.js'

const keyOfOption = new WeakMap<Option, string>()

/**
 * Gives a command the flags of the settings that it takes, and `--config` and `--profile`.
 * Their values are checked when the configuration is loaded, together with all others.
 */
export function addSettingsOptions(command: Command, name: SettingsCommand): Command {
  for (const { key, flag, help } of LOOKUPS) addOption(command, key, new Option(flag, help))
  const rows: readonly Setting[] = SETTINGS
  for (const row of rows) {
    if (row.flag === undefined || !row.commands.includes(name)) continue
    const option = new Option(row.flag, describe(row))
    if (row.repeatable) {
      option.argParser((value: string, previous: string[] | undefined) => [
        ...(previous ?? []),
        value,
      ])
    }
    addOption(command, row.key, option)
  }
  return command
}

function addOption(command: Command, key: string, option: Option): void {
  keyOfOption.set(option, key)
  command.addOption(option)
}

function describe(row: Setting): string {
  const notes = [
    row.repeatable ? 'repeatable' : '',
    row.default === undefined || [row.default].flat().length === 0 || row.default === false
      ? ''
      : `default: ${[row.default].flat().join(', ')}`,
    row.env.length > 0 ? `env: ${row.env[0]}` : '',
  ].filter((note) => note !== '')
  return notes.length > 0 ? `${row.help.replace(/\.$/, '')} (${notes.join('; ')})` : row.help
}

/** Collects the flags of settings that stand on the command line, by the setting's key. */
export function collectFlags(command: Command): Flags {
  const flags: Record<string, string | true | readonly string[]> = {}
  for (const option of command.options) {
    const key = keyOfOption.get(option)
    const name = option.attributeName()
    if (key === undefined || command.getOptionValueSource(name) !== 'cli') continue
    setMember(flags, key, command.getOptionValue(name))
  }
  return flags
}

/** Gives a command that reports the flag `--json`. */
export function addJsonOption(command: Command): Command {
  return command.option('--json', 'Print one JSON document on stdout.')
}

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
