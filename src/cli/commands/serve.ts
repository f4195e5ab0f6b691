import { Command } from 'commander'
import { exitWith } from '../../usecases/exit-codes.js'
import type { Runtime } from '../../util/runtime.js'
import { printWarnings } from '../print-error.js'
import { addSettingsOptions, collectFlags } from '../settings-options.js'

/** Declares `serve`: the HTTP proxy. */
export function serveCommand(runtime: Runtime): Command {
  const command = new Command('serve').description(
    'Serve MCP over HTTP: Descope sign-in in front, your MCP servers behind.',
  )
  return addSettingsOptions(command)
    .addHelpText('after', '\nSecrets come from the environment or the configuration file only.')
    .action(async () => {
      const { loadConfig } = await import('../../config/load.js')
      const { isWorker } = await import('../../serve/workers.js')
      const load = () => loadConfig(runtime, { flags: collectFlags(command), for: 'serve' })
      const loaded = isWorker() ? await configOfCrew() : load()
      const { runServe } = await import('../../serve/run.js')
      const { connectOffers } = await import('../../hosts/connect.js')
      const warn = () => printWarnings(runtime, loaded)
      exitWith(await runServe(runtime, loaded, { offers: connectOffers, warn, load }))
    })
}

async function configOfCrew() {
  const { askForConfig } = await import('../../serve/reload/crew-member.js')
  return askForConfig()
}
