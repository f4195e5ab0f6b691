import type { ProgramConfig, TargetConfig } from '../../config/types.js'
import { createTarget, type Target } from '../../gateway/target.js'
import type { Network } from '../../upstream/http/network.js'
import type { ProgramOptions } from '../../upstream/stdio/stdio-upstream.js'
import type { TranslatingOptions } from '../../upstream/translate/options.js'
import { createTranslatingUpstream } from '../../upstream/translate/translating-upstream.js'
import { createDetectingUpstream } from '../../upstream/transport-detection.js'
import type { Upstream, UpstreamRequest } from '../../upstream/upstream.js'
import { isObject, tryParseJson } from '../../util/json.js'
import type { Runtime } from '../../util/runtime.js'
import type { BridgeFlags, Transport } from '../inputs.js'

/** The user's own process of a target that is a program. */
export async function openProgram(
  runtime: Runtime,
  config: TargetConfig,
  program: ProgramConfig,
  options: ProgramOptions,
): Promise<Target> {
  const [{ createProgramUpstream }, { ownerCredential }] = await Promise.all([
    import('../../upstream/stdio/stdio-upstream.js'),
    import('../../gateway/target.js'),
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
    const { createSseUpstream } = await import('../../upstream/sse/sse-upstream.js')
    return createSseUpstream({ clock, url, connect })
  }
  if (transport === 'sse') return openSse()
  const http = await connect(url)
  return transport === 'http' ? http : createDetectingUpstream({ http, openSse })
}

type Parts = Pick<TranslatingOptions, 'clock' | 'logger' | 'target'> & Pick<BridgeFlags, 'protocol'>

/** Joins a host and a target, whichever versions of MCP they speak, as `--protocol` says. */
export async function speakProtocol(
  upstream: Upstream,
  { protocol, ...parts }: Parts,
): Promise<Upstream> {
  if (protocol === 'legacy') {
    return (
      await import('../../upstream/translate/translating-upstream.js')
    ).createSessionBasedUpstream(upstream)
  }
  return createTranslatingUpstream(upstream, { ...parts, protocol, mirrorsParams: true })
}

const SAFE = /^(initialize|ping|server\/discover|completion\/complete|notifications\/initialized)$/

const READS = /\/(list|read|get)$/

/**
 * Tells whether a request changes nothing at the target, so that it may be sent twice. A tool call
 * never is: the first one may have run.
 */
export function isRetrySafe({ method, body }: Pick<UpstreamRequest, 'method' | 'body'>): boolean {
  if (method !== 'POST') return true
  const message = tryParseJson(body?.toString() ?? '')
  const called = isObject(message) ? message['method'] : undefined
  return typeof called === 'string' && (SAFE.test(called) || READS.test(called))
}
