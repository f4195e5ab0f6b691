import type { SignInPort, SignInTarget } from '../auth/sign-in-target.js'
import { createSignIn } from '../login/login.js'
import type { Runtime } from '../util/runtime.js'
import type { BridgeFlags } from './bridge-options.js'
import type { SignInStores } from './sign-in-parts.js'
import { createSignInTalk } from './sign-in-text.js'

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
