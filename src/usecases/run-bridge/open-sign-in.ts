import type { SignInPort, SignInTarget } from '../../auth/tokens/sign-in-target.js'
import { createSignInTalk } from '../../cli/sign-in-text.js'
import { createSignIn } from '../../sign-in/sign-in.js'
import type { Runtime } from '../../util/runtime.js'
import type { SignInStores } from '../access/token-sources.js'
import type { BridgeFlags } from '../inputs.js'

const SIGN_IN_MS = 10 * 60_000

const DEVICE_RENEWALS = 2

/** Opens the sign-in of the bridge to a target, which says on stderr what a person has to do. */
export function openSignIn(
  runtime: Runtime,
  stores: SignInStores,
  target: SignInTarget,
  { login, browser, callbackHost, callbackPort }: BridgeFlags,
  returnTo: () => string | undefined,
): SignInPort {
  const signIn = createSignIn({
    runtime,
    target,
    ...stores,
    options: {
      ...{ method: login, openBrowser: browser, callbackHost, callbackPort, returnTo },
      timeoutMs: SIGN_IN_MS,
      deviceRenewals: DEVICE_RENEWALS,
    },
  })
  signIn.onChange(createSignInTalk(runtime, target.name, false))
  return signIn
}
