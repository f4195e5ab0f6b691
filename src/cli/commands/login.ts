import { Command } from 'commander'
import { redirectUrisOf } from '../../sign-in/options.js'
import type { LoginFlags } from '../../usecases/inputs.js'
import type { Runtime } from '../../util/runtime.js'
import { addJsonOption, addNetworkOptions, addSignInOptions, readFlags } from '../options.js'

const AFTER_HELP = `
Does nothing when the target takes the tokens, or lets everybody in. Exits 3 when nobody signed in.
A client that is registered by hand needs the redirect URIs of --print-redirect-uris, to the letter.`

type Run = (runtime: Runtime, argument: string | undefined, flags: LoginFlags) => Promise<void>

/** Declares `login`: the sign-in, by hand. `run` is replaced in tests of the flags. */
export function loginCommand(runtime: Runtime, run?: Run): Command {
  const command = new Command('login')
    .description('Sign in to a target through Descope, for scripts and the other commands.')
    .argument('[target-or-url]', 'name of a configured target, or a URL')
  addNetworkOptions(addSignInOptions(command))
    .option('--force', 'Sign in even when the tokens are good.')
    .option(
      '--paste <url>',
      'Finish the sign-in that waits with the URL that the browser ended at.',
    )
    .option('--with-token', 'Keep the access token that is read from stdin.')
    .option('--print-redirect-uris', 'Only print what a client has to have registered.')
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
