import { Command, InvalidArgumentError } from 'commander'
import type { TokenSource } from '../../auth/tokens/token-source.js'
import { bindingOf, type SignInTarget } from '../../auth/tokens/token-store.js'
import { readUnverifiedClaims } from '../../auth/verify/claims.js'
import { findSignInTarget } from '../../usecases/access/find-target.js'
import {
  chooseTokenSource,
  openStores,
  type SignInStores,
} from '../../usecases/access/token-sources.js'
import type { StoreFlags } from '../../usecases/inputs.js'
import { type NetworkFlags, withNetwork } from '../../usecases/network.js'
import { ProxyError } from '../../util/errors.js'
import { ownMember } from '../../util/json.js'
import type { Runtime } from '../../util/runtime.js'
import { addNetworkOptions, addStoreOptions, readFlags } from '../options.js'

interface Flags extends StoreFlags, NetworkFlags {
  /** Seconds. */
  minTtl?: number
}

/** Declares `token`: one access token on stdout, for scripts. */
export function tokenCommand(given: Runtime): Command {
  const command = new Command('token')
    .description('Print one valid access token for scripts. Never starts a sign-in.')
    .argument('[target-or-url]', 'the target that the token is for')
    .option('--min-ttl <time>', 'Refresh first if less is left, such as 5m.', parseDuration)
  return addNetworkOptions(addStoreOptions(command))
    .addHelpText('after', '\nExits 3 when somebody has to sign in first.')
    .action(async (argument: string | undefined) => {
      const flags = readFlags<Flags>(command, given.env)
      const runtime = withNetwork(given, flags)
      const target = await findSignInTarget(runtime, argument, flags)
      const stores = openStores(runtime, flags.store)
      const { source, kind } = await chooseTokenSource(runtime, stores, target, true)
      const wanted = kind === 'stored' ? (flags.minTtl ?? 0) : 0
      const token = await freshToken(runtime, stores, target, source, wanted)
      if (token === undefined) {
        const kept = kind === 'stored' && (await stores.store.load(bindingOf(target)))
        const what = kept
          ? `The sign-in to ${target.name} is no longer good`
          : `Nobody is signed in to ${target.name}`
        throw new ProxyError('SIGN_IN_REQUIRED', what, {
          hint: `Run \`mcp-descope-proxy login${argument === undefined ? '' : ` ${argument}`}\`.`,
        })
      }
      runtime.io.out(`${token}\n`)
      if (await isBound(stores, target, token)) runtime.io.err(BOUND)
    })
}

const BOUND =
  'This token is bound to a key (DPoP), and a server refuses it as Bearer: each request needs a proof by that key, which stays here.\n' +
  'Let `mcp-descope-proxy stdio` or `test-target` send the requests, or use a server that offers no DPoP (`descope.dpop: off` in its configuration).\n'

async function isBound(
  { store }: SignInStores,
  target: SignInTarget,
  token: string,
): Promise<boolean> {
  if (readUnverifiedClaims(token)['cnf'] !== undefined) return true
  const record = await store.load(bindingOf(target))
  return record?.accessToken === token && record.proofKey !== undefined
}

async function freshToken(
  { clock }: Pick<Runtime, 'clock'>,
  { store }: SignInStores,
  target: SignInTarget,
  source: TokenSource,
  minTtl: number,
): Promise<string | undefined> {
  const token = await source.get()
  if (token === undefined) return undefined
  const record = await store.load(bindingOf(target))
  if (record?.accessToken === token && record.refused) return undefined
  if (minTtl === 0) return token
  const left = (record?.expiresAt ?? Number.POSITIVE_INFINITY) - clock.now() / 1_000
  if (left >= minTtl || record?.refreshToken === undefined) return token
  await source.renew?.(token)
  return await source.get()
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, '': 1 }

function parseDuration(text: string): number {
  const [, number, unit = ''] = /^(\d{1,6})([smh]?)$/.exec(text) ?? []
  if (number === undefined) throw new InvalidArgumentError('Expected a time such as 90s, 5m or 1h.')
  return Number(number) * (ownMember(UNITS, unit) ?? 1)
}
