import type { Upstream } from '../http/pool.js'
import { createTranslatingUpstream, type TranslatingOptions } from '../mcp/translating-upstream.js'
import type { BridgeFlags } from './bridge-options.js'

type Parts = Pick<TranslatingOptions, 'clock' | 'logger' | 'target'> & Pick<BridgeFlags, 'protocol'>

/** Joins a host and a target, whichever versions of MCP they speak, as `--protocol` says. */
export async function speakProtocol(
  upstream: Upstream,
  { protocol, ...parts }: Parts,
): Promise<Upstream> {
  if (protocol === 'legacy') {
    return (await import('../mcp/legacy-upstream.js')).createLegacyUpstream(upstream)
  }
  return createTranslatingUpstream(upstream, { ...parts, protocol, mirrorsParams: true })
}
