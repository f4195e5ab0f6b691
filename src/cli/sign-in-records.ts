import { bindingOf } from '../auth/sign-in-target.js'
import type { TokenRecord } from '../auth/token-store.js'
import type { Runtime } from '../util/runtime.js'
import type { StoreFlags } from './sign-in-options.js'
import { openStores, type SignInStores } from './sign-in-parts.js'
import { findSignInTarget } from './sign-in-target.js'

/**
 * Finds the kept sign-ins of a target, whatever client they were made with, or all of them.
 *
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when the argument names nothing.
 */
export async function recordsOf(
  runtime: Runtime,
  argument: string | undefined,
  flags: StoreFlags,
): Promise<{ stores: SignInStores; records: TokenRecord[] }> {
  const stores = openStores(runtime, flags.store)
  const all = await stores.store.list()
  if (argument === undefined) {
    const { profile } = flags
    const isMeant = (record: TokenRecord) => !profile || record.binding.profile === profile
    return { stores, records: all.filter(isMeant) }
  }
  const target = await findSignInTarget(runtime, argument, flags)
  const { url, profile, clientId } = bindingOf(target)
  const records = all.filter(
    ({ binding }) =>
      binding.url === url &&
      binding.profile === profile &&
      (flags.clientId === undefined || binding.clientId === clientId),
  )
  return { stores, records }
}
