import type { DescopeConnection } from '../../auth/descope/connection.js'
import type { Descope } from '../../auth/resource-server.js'
import type { EndpointConfig } from '../../config/endpoints.js'
import type { Upstream } from '../../upstream/upstream.js'
import { ProxyError } from '../../util/errors.js'
import type { Keeper } from '../../util/keeper.js'
import { CONNECTION, DESCOPE } from '../endpoints.js'
import { UPSTREAM } from '../targets.js'

/** Another configuration, ready to be put in force. */
export interface Prepared {
  /** Puts it in force, all at once: requests that come from now on meet it. */
  commit(): void
  /** Gives up what was made for it. */
  drop(): void
}

/**
 * Asks Descope for what a configuration needs that the one before it did not.
 *
 * @param isReload Another configuration is in force: it stays when Descope does not answer.
 * @throws {ProxyError} `DISCOVERY_INVALID`, in a reload also `ISSUER_UNREACHABLE`.
 */
export async function startNew(
  descopes: ReadonlyMap<EndpointConfig, Descope>,
  keeper: Keeper,
  isReload: boolean,
): Promise<void> {
  const started = [...descopes].filter(([{ url }]) => !keeper.isKept(DESCOPE + url))
  await Promise.all(started.map(([, descope]) => descope.start()))
  if (!isReload) return
  const silent = started.find(([, { project, keysState }]) => {
    return !keeper.isKept(CONNECTION + project.issuer) && keysState() === 'missing'
  })
  if (silent === undefined) return
  const what = `Descope does not answer for ${silent[1].project.issuer}, which is new`
  const hint = 'Check descope.configUrl; when Descope answers, send SIGHUP or save the file again.'
  throw new ProxyError('ISSUER_UNREACHABLE', what, { hint })
}

/** Gives up what was made for a configuration that is not put in force. */
export function dropNew(keeper: Keeper): void {
  for (const [slot, value] of keeper.added()) {
    if (slot.startsWith(CONNECTION)) (value as DescopeConnection).stop()
    if (slot.startsWith(UPSTREAM)) void (value as { upstream: Upstream }).upstream.close()
  }
}
