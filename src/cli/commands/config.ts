import { Argument, Command } from 'commander'
import type { Runtime } from '../../util/runtime.js'
import { addJsonOption } from '../options.js'
import { addSettingsOptions, collectFlags } from '../settings-options.js'
import type { WhoFlags } from './config/explain-access.js'

/** Declares `config` and what belongs to it. */
export function configCommand(runtime: Runtime): Command {
  return new Command('config')
    .description('Show, explain and check the configuration.')
    .addCommand(show(runtime))
    .addCommand(explain(runtime))
    .addCommand(explainAccess(runtime))
    .addCommand(validate(runtime))
    .addCommand(schema(runtime))
    .addCommand(init(runtime))
}

function show(runtime: Runtime): Command {
  const command = new Command('show')
    .summary('print every setting and where it comes from')
    .description('Print every setting and where it comes from. Secrets are never printed.')
  return addJsonOption(addSettingsOptions(command)).action(
    async ({ json = false }: { json?: boolean }) => {
      const { showConfig } = await import('./config/show.js')
      showConfig(runtime, collectFlags(command), { json })
    },
  )
}

function explain(runtime: Runtime): Command {
  const command = new Command('explain')
    .summary('explain one setting and where its value comes from')
    .description('Print what one setting means, and what each source says about it.')
    .argument('<key>', 'the setting, such as server.port')
  return addJsonOption(addSettingsOptions(command)).action(
    async (key: string, { json = false }: { json?: boolean }) => {
      const { explainSetting } = await import('./config/explain.js')
      explainSetting(runtime, key, collectFlags(command), { json })
    },
  )
}

function explainAccess(runtime: Runtime): Command {
  const command = new Command('explain-access')
    .summary('tell whether a caller may use a tool, a prompt or a resource')
    .description(
      'Tell whether a caller may use a tool, a prompt or a resource, and by which rule not. Sends nothing, and verifies nothing of the token.',
    )
    .argument('<name>', 'the tool, the prompt or the resource URI, as clients see it')
    .option('--token <file>', 'a file with the access token of the caller')
    .option('--claims <json>', 'the claims of an access token, such as \'{"roles":["admin"]}\'')
    .option('--endpoint <target>', "use this target's own endpoint")
    .option('--arguments <json>', 'the arguments of the call, for rules that look at them')
  return addJsonOption(addSettingsOptions(command)).action(
    async (name: string, { json = false, ...who }: WhoFlags & { json?: boolean }) => {
      const { explainCallersAccess } = await import('./config/explain-access.js')
      await explainCallersAccess(runtime, name, collectFlags(command), { json, ...who })
    },
  )
}

function validate(runtime: Runtime): Command {
  const command = new Command('validate')
    .summary('check the configuration, or one file')
    .description('Check the configuration that serve would use, or one file. Exits 2 on problems.')
    .argument('[file]', 'the file to check')
  return addJsonOption(addSettingsOptions(command)).action(
    async (file: string | undefined, { json = false }: { json?: boolean }) => {
      const { validateConfig } = await import('./config/show.js')
      await validateConfig(runtime, file, collectFlags(command), { json })
    },
  )
}

function schema(runtime: Runtime): Command {
  return new Command('schema')
    .summary('print the JSON Schema of the configuration file, or of reports')
    .description(
      'Print the JSON Schema of the configuration file, for editors, or of what --json prints.',
    )
    .addArgument(
      new Argument('[of]', 'the configuration file, or what test-target and inspect print as JSON')
        .choices(['config', 'report'])
        .default('config'),
    )
    .action(async (of: 'config' | 'report') => {
      const document =
        of === 'config'
          ? (await import('../../config/json-schema.js')).configJsonSchema()
          : (await import('../../diagnose/reporters/report-schema.js')).reportJsonSchema()
      runtime.io.out(`${JSON.stringify(document, undefined, 2)}\n`)
    })
}

function init(runtime: Runtime): Command {
  return new Command('init')
    .summary('write a configuration file to start from')
    .description('Write a configuration file to start from, with comments.')
    .argument('[file]', 'where to write it', 'mcp-descope-proxy.config.json')
    .option('--force', 'replace the file if it exists')
    .action(async (file: string, { force = false }: { force?: boolean }) => {
      const { initConfig } = await import('./config/init.js')
      initConfig(runtime, file, { force })
    })
}
