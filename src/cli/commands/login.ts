import { Command } from 'commander'
import { bindingOf } from '../../auth/sign-in-target.js'
import type { TokenRecord } from '../../auth/token-store.js'
import type { SignInDeps } from '../../login/login.js'
import { redirectUrisOf } from '../../login/ports.js'
import { ProxyError } from '../../util/errors.js'
import type { Runtime } from '../../util/runtime.js'
import { readFlags } from '../flag-variables.js'
import { renderIdentity, reportIdentity } from '../identity-report.js'
import { addNetworkOptions, type NetworkFlags, withNetwork } from '../network-options.js'
import { addJsonOption } from '../options.js'
import { placesOfSignIn, requirePrivacy } from '../plain-http.js'
import { pastedLines, readToken } from '../sign-in-input.js'
import { addSignInOptions, type SignInFlags } from '../sign-in-options.js'
import { openStores } from '../sign-in-parts.js'
import { findSignInTarget } from '../sign-in-target.js'
import { createSignInTalk } from '../sign-in-text.js'

interface Flags extends SignInFlags, NetworkFlags {
  force?: boolean
  paste?: string
  withToken?: boolean
  printRedirectUris?: boolean
  json?: boolean
}

const AFTER_HELP = `
Does nothing when the tokens are good. Exits 3 when nobody signed in.
A client that is registered by hand needs the redirect URIs of --print-redirect-uris, to the letter.`

const TIMEOUT_MS = 5 * 60_000
const DEVICE_RENEWALS = 3

/** Declares `login`: the sign-in, by hand. `run` is replaced in tests of the flags. */
export function loginCommand(runtime: Runtime, run = runLogin): Command {
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
      const flags = readFlags<Flags>(command, runtime.env)
      if (flags.printRedirectUris) return printRedirectUris(runtime, flags)
      await run(withNetwork(runtime, flags), argument, flags)
    })
}

function printRedirectUris({ io }: Pick<Runtime, 'io'>, flags: Flags): void {
  const { callbackHost, callbackPort } = flags
  const redirectUris = redirectUrisOf({ callbackHost, callbackPort })
  io.out(flags.json ? `${JSON.stringify({ redirectUris })}\n` : `${redirectUris.join('\n')}\n`)
}

async function runLogin(
  runtime: Runtime,
  argument: string | undefined,
  flags: Flags,
): Promise<void> {
  const target = await findSignInTarget(runtime, argument, flags)
  requirePrivacy(placesOfSignIn(target), flags.allowHttp)
  const stores = openStores(runtime, flags.store)
  const { io, clock } = runtime
  const stop = new AbortController()
  const stopSignals = runtime.onSignal(() => stop.abort())
  const deps: SignInDeps = {
    runtime,
    target,
    ...stores,
    options: {
      method: flags.login,
      openBrowser: flags.browser,
      callbackHost: flags.callbackHost,
      callbackPort: flags.callbackPort,
      timeoutMs: TIMEOUT_MS,
      deviceRenewals: io.errIsTty ? DEVICE_RENEWALS : 0,
      returnTo: () => 'your terminal',
      onPaste: (listener) => pastedLines(io.stdin, listener),
    },
  }
  try {
    const before = await stores.store.load(bindingOf(target))
    const record = await signIn(runtime, deps, flags, stop.signal)
    const report = reportIdentity(record, await stores.store.place(), clock.now())
    if (flags.json) io.out(`${JSON.stringify(report)}\n`)
    else {
      const isOld = before?.accessToken === record.accessToken
      io.err(`${isOld ? 'Already signed in' : 'Signed in'} as ${report.account ?? 'unknown'}\n`)
      io.out(renderIdentity(report, clock.now()))
    }
  } finally {
    stopSignals()
  }
}

async function signIn(
  runtime: Runtime,
  deps: SignInDeps,
  flags: Flags,
  signal: AbortSignal,
): Promise<TokenRecord> {
  if (flags.withToken) return readToken(runtime, deps)
  if (runtime.env['MCP_DESCOPE_TOKEN']) {
    throw new ProxyError('USAGE', 'MCP_DESCOPE_TOKEN is set, so a sign-in would not be used', {
      hint: 'Remove MCP_DESCOPE_TOKEN first.',
    })
  }
  if (flags.paste !== undefined) {
    const { finishPasted } = await import('../../login/hand-over.js')
    return finishPasted(deps, flags.paste)
  }
  const { createSignIn } = await import('../../login/login.js')
  const signing = createSignIn(deps)
  const stopTalk = signing.onChange(createSignInTalk(runtime, deps.target.name))
  try {
    return await signing.ensure({ interactive: 'asked', force: flags.force ?? false, signal })
  } finally {
    stopTalk()
  }
}
