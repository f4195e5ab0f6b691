import { Command } from 'commander'
import { storeKey, type TokenRecord } from '../../auth/tokens/token-store.js'
import type { SignOutReport } from '../../sign-in/sign-out.js'
import { recordsOf, type SignInStores, storedSource } from '../../usecases/access/token-sources.js'
import type { StoreFlags } from '../../usecases/inputs.js'
import { type NetworkFlags, withNetwork } from '../../usecases/network.js'
import { ProxyError } from '../../util/errors.js'
import type { Runtime } from '../../util/runtime.js'
import { shownUrl } from '../../util/url-text.js'
import { addJsonOption, addNetworkOptions, addStoreOptions, readFlags } from '../options.js'

interface Flags extends StoreFlags, NetworkFlags {
  all?: boolean
  json?: boolean
}

/** Declares `logout`: revokes tokens at the authorization server and deletes them here. */
export function logoutCommand(given: Runtime): Command {
  const command = new Command('logout')
    .description('Sign out: revoke the tokens where that is offered, and delete them here.')
    .argument('[target-or-url]', 'the target to sign out of')
    .option('--all', 'Sign out of everything.')
  return addJsonOption(addNetworkOptions(addStoreOptions(command))).action(
    async (argument: string | undefined) => {
      const flags = readFlags<Flags>(command, given.env)
      const runtime = withNetwork(given, flags)
      const { stores, records } = await recordsOf(runtime, argument, flags)
      requireChoice(argument, flags, records)
      const reports = []
      for (const record of records) {
        reports.push({ record, report: await signOutOf(runtime, stores, record) })
      }
      if (flags.json) runtime.io.out(renderJson(reports))
      else if (reports.length > 0) runtime.io.out(renderText(reports))
      else runtime.io.err('Nobody was signed in.\n')
    },
  )
}

/** Without a name, the only sign-in is meant; of several, one has to be named. */
function requireChoice(
  argument: string | undefined,
  { all }: Flags,
  records: readonly TokenRecord[],
): void {
  if (argument !== undefined || all || records.length <= 1) return
  throw new ProxyError('USAGE', 'You are signed in to several targets', {
    hint: `Name one of ${records.map(({ binding }) => shownUrl(binding.url)).join(', ')}, or use \`--all\`.`,
  })
}

async function signOutOf(
  runtime: Runtime,
  stores: SignInStores,
  record: TokenRecord,
): Promise<SignOutReport> {
  const { signOut } = await import('../../sign-in/sign-out.js')
  const configured = { secret: runtime.env['MCP_DESCOPE_CLIENT_SECRET'] || undefined }
  const source = storedSource(runtime, stores, record.binding, configured)
  const report = await signOut({ ...runtime, ...stores, configured, source }, record)
  const { forgetSignIn } = await import('../../bridge/offline.js')
  await forgetSignIn(stores.folder, storeKey(record.binding))
  return report
}

type Done = { record: TokenRecord; report: SignOutReport }

function renderJson(done: readonly Done[]): string {
  const signedOut = done.map(({ record, report }) => ({
    target: record.target,
    url: shownUrl(record.binding.url),
    profile: record.binding.profile,
    revoked: report.revoked,
    ...(report.reason !== undefined && { reason: report.reason }),
  }))
  return `${JSON.stringify({ signedOut })}\n`
}

function renderText(done: readonly Done[]): string {
  const lines = done.map(({ record, report }) => {
    const what = report.revoked
      ? 'revoked and deleted'
      : `deleted here, not revoked: ${report.reason}`
    return `Signed out of ${record.target}: tokens ${what}\n`
  })
  return lines.join('')
}
