import { type Command, Option } from 'commander'
import { type Flags, SETTINGS } from '../config/settings.js'
import { LOOKUPS, type Setting } from '../config/table.js'
import { setMember } from '../util/json.js'

const keyOfOption = new WeakMap<Option, string>()

/**
 * Adds the flags of all settings, and `--config` and `--profile`. Their values are checked when the
 * configuration is loaded, together with those of all other sources.
 */
export function addSettingsOptions(command: Command): Command {
  for (const { key, flag, help } of LOOKUPS) addOption(command, key, new Option(flag, help))
  for (const row of SETTINGS) {
    if (row.flag === undefined) continue
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
