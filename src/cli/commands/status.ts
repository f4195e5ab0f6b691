import { Command } from 'commander'
import { recordsOf } from '../../usecases/access/token-sources.js'
import { EXIT, exitWith } from '../../usecases/exit-codes.js'
import type { StoreFlags } from '../../usecases/inputs.js'
import { renderIdentity, reportIdentity } from '../../usecases/login/identity-report.js'
import type { Runtime } from '../../util/runtime.js'
import { addJsonOption, addStoreOptions, readFlags } from '../options.js'

interface Flags extends StoreFlags {
  json?: boolean
}

/** Declares `status`: who is signed in where. Sends no requests. */
export function statusCommand(runtime: Runtime): Command {
  const command = new Command('status')
    .description('Show who is signed in, to what, until when, and where the tokens are.')
    .argument('[target-or-url]', 'only this target')
  return addJsonOption(addStoreOptions(command))
    .addHelpText('after', '\nExits 3 when a target is named that nobody is signed in to.')
    .action(async (argument: string | undefined) => {
      const flags = readFlags<Flags>(command, runtime.env)
      const { io, clock } = runtime
      const { stores, records } = await recordsOf(runtime, argument, flags)
      const place = await stores.store.place()
      const reports = records.map((record) => reportIdentity(record, place, clock.now()))
      if (flags.json) io.out(`${JSON.stringify({ identities: reports })}\n`)
      else if (reports.length > 0) {
        io.out(reports.map((report) => renderIdentity(report, clock.now())).join('\n'))
      } else io.err('Nobody is signed in. Run `mcp-descope-proxy login <url>`.\n')
      const isUsable = reports.some(
        ({ expired, refreshable, refused }) => !refused && (!expired || refreshable),
      )
      exitWith(argument === undefined || isUsable ? EXIT.ok : EXIT.signInNeeded)
    })
}
