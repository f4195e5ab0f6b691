import type { ProgramConfig, TargetConfig } from '../config/types.js'
import type { ProgramOptions } from '../gateway/program-upstream.js'
import { createTarget, type Target } from '../gateway/target.js'
import type { Network } from '../http/network.js'
import type { Upstream } from '../http/pool.js'
import { createAutoUpstream } from '../mcp/auto-upstream.js'
import type { Runtime } from '../util/runtime.js'
import type { Transport } from './bridge-options.js'

/** The user's own process of a target that is a program. */
export async function openProgram(
  runtime: Runtime,
  config: TargetConfig,
  program: ProgramConfig,
  options: ProgramOptions,
): Promise<Target> {
  const [{ createProgramUpstream }, { ownerCredential }] = await Promise.all([
    import('../gateway/program-upstream.js'),
    import('../auth/credentials/owner.js'),
  ])
  const upstream = createProgramUpstream(runtime, config.name, program, options)
  return createTarget(config, ownerCredential(), upstream)
}

/** What a server of today needs is there at once, the older transport when it is needed. */
export async function connectTarget(
  { clock }: Pick<Runtime, 'clock'>,
  { connect }: Network,
  url: URL,
  transport: Transport,
): Promise<Upstream> {
  const openSse = async () => {
    const { createSseUpstream } = await import('../mcp/sse-upstream.js')
    return createSseUpstream({ clock, url, connect })
  }
  if (transport === 'sse') return openSse()
  const http = await connect(url)
  return transport === 'http' ? http : createAutoUpstream({ http, openSse })
}
