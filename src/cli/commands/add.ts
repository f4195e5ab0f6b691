import { Command, Option } from 'commander'
import { LOOKUPS } from '../../config/table.js'
import type { AddFlags } from '../../usecases/inputs.js'
import { ProxyError } from '../../util/errors.js'
import type { Runtime } from '../../util/runtime.js'
import { addJsonOption, repeatable } from '../options.js'

const AFTER_HELP = `
Hosts: claude-desktop, claude-code, cursor, vscode, windsurf, codex, gemini.

Without --write, prints what to add to the host's file and changes nothing.
With --write, the old file is kept as <file>.bak. Secrets are never written:
the host gets the names of variables.

Examples:
  mcp-descope-proxy add cursor https://mcp.example.com/mcp
  mcp-descope-proxy add claude-desktop https://mcp.example.com/mcp --write
  mcp-descope-proxy add vscode https://mcp.example.com/mcp --http --write`

/** Declares `add`: puts the bridge into an assistant's file. `run` is replaced in tests of flags. */
export function addCommand(runtime: Runtime, run = runAdd): Command {
  const command = new Command('add')
    .description("Print or write an assistant's configuration for a target.")
    .argument('<host>', 'the assistant')
    .argument('[target-or-url]', 'name of a configured target, or a URL')
    .option('--name <name>', 'Name of the server in the host.')
    .option('--http', 'Let the host call the URL itself, without the bridge.')
    .option('--write', "Put it into the host's file.")
    .option('--dry-run', 'Show what --write would change, and write nothing.')
    .option('--force', 'Replace another server of the same name.')
    .option('--absolute', 'Start this copy of the program with this Node, without npx.')
    .option('--project', "Use the project's file in this folder, not your own.")
    .addOption(repeatable('--env <variable>', 'Variable that the bridge needs; repeatable.'))
  for (const { flag, help } of LOOKUPS) command.addOption(new Option(flag, help))
  return addJsonOption(command)
    .addHelpText('after', AFTER_HELP)
    .action(async (host: string, target: string | undefined, flags: AddFlags) => {
      checkFlags(flags, target)
      await run(runtime, host, target, flags)
    })
}

async function runAdd(
  runtime: Runtime,
  host: string,
  target: string | undefined,
  flags: AddFlags,
): Promise<void> {
  const { addToHost } = await import('./add/run.js')
  await addToHost(runtime, host, target, flags)
}

/**
 * Refuses flags that mean nothing together.
 *
 * @throws {ProxyError} `USAGE`
 */
function checkFlags(flags: AddFlags, target = 'https://'): void {
  // a name is looked up in the configuration
  const lookups = /^https?:/i.test(target) ? (['config', 'profile'] as const) : []
  const useless = (['absolute', ...lookups] as const).find((flag) => flags[flag])
  const about = useless ?? (flags.env.length > 0 ? 'env' : undefined)
  if (flags.http && about !== undefined) {
    const what = `\`--${about}\` is about the bridge, which \`--http\` goes without`
    throw new ProxyError('USAGE', what, { hint: `Leave out \`--${about}\` or \`--http\`.` })
  }
  const wrong = flags.env.find((name) => !/^[A-Za-z_]\w*$/.test(name))
  if (wrong !== undefined) {
    throw new ProxyError('USAGE', '`--env` takes the name of a variable, never its value', {
      hint: `Write \`--env ${/^[A-Za-z_]\w*/.exec(wrong)?.[0] ?? 'NAME'}\`, and set the variable where the host finds it.`,
    })
  }
}
