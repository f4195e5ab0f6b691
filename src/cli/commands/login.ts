import { Command } from 'commander'
import { redirectUrisOf } from '../../sign-in/options.js'
import type { LoginFlags } from '../../usecases/inputs.js'
import type { Runtime } from '../../util/runtime.js'
import { addJsonOption, addNetworkOptions, addSignInOptions, readFlags } from '../options.js'

const AFTER_HELP = `
Does nothing if the target accepts the stored tokens, or is open. Exits 3 when nobody signed in.
A client registered by hand needs exactly the redirect URIs that --print-redirect-uris prints.`

type Run = (runtime: Runtime, argument: string | undefined, flags: LoginFlags) => Promise<void>

/** Declares `login`: the sign-in, by hand. `run` is replaced in tests of the flags. */
export function loginCommand(runtime: Runtime, run?: Run): Command {
  const command = new Command('login')
    .description('Sign in to a target through Descope, for scripts and the other commands.')
    .argument('[target-or-url]', 'name of a configured target, or a URL')
  addNetworkOptions(addSignInOptions(command))
    .option('--force', 'Sign in even if the stored tokens are good.')
    .option('--paste <url>', 'Finish the pending sign-in with the URL at which the browser ended.')
    .option('--with-token', 'Keep the access token that is read from stdin.')
    .option('--print-redirect-uris', 'Print the redirect URIs that a client must have registered.')
  return addJsonOption(command)
    .addHelpText('after', AFTER_HELP)
    .action(async (argument: string | undefined) => {
      const flags = readFlags<LoginFlags>(command, runtime.env)
      if (flags.printRedirectUris) return printRedirectUris(runtime, flags)
      const login = run ?? (await import('../../usecases/login/run-login.js')).runLogin
      await login(runtime, argument, flags)
    })
}

function printRedirectUris({ io }: Pick<Runtime, 'io'>, flags: LoginFlags): void {
  const { callbackHost, callbackPort } = flags
  const redirectUris = redirectUrisOf({ callbackHost, callbackPort })
  io.out(flags.json ? `${JSON.stringify({ redirectUris })}\n` : `${redirectUris.join('\n')}\n`)
}
