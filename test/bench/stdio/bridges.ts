import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Workplace } from '../candidates.js'
import { type Piped, startPiped } from '../process.js'

/** What is started as a bridge, and `nothing`: Node that only starts and ends. */
export const BRIDGES = ['nothing', 'raw', 'remote', 'stdio'] as const
export type BridgeName = (typeof BRIDGES)[number]
/** Bridges that answer. */
export type WorkingBridge = Exclude<BridgeName, 'nothing'>

export const BRIDGE_TITLES: Record<BridgeName, string> = {
  nothing: 'node -e 0',
  raw: 'raw bridge on node:http',
  remote: 'mcp-remote',
  stdio: 'stdio',
}

/** Where bridges lead to, and as whom. */
export interface BridgePlace extends Workplace {
  targetUrl: string
}

/** Keeps the token for our bridge, as a sign-in would. The others are told it at each start. */
export async function prepareBridges(place: BridgePlace): Promise<void> {
  const login = startPiped(place.folder, {
    role: 'other',
    script: [place.bin, 'login', place.targetUrl, '--with-token', '--store', 'file'],
    env: ownEnvironment(place),
  })
  login.stdin.end(place.targetToken)
  const status = await login.exited
  if (status !== 0) throw new Error(`login ended with ${status}:\n${login.log()}`)
}

export function startBridge(place: BridgePlace, name: BridgeName): Piped {
  const { folder, targetUrl, targetToken } = place
  const start = (script: string[], env: Record<string, string> = {}) =>
    startPiped(folder, { role: 'subject', script, env })
  switch (name) {
    case 'nothing':
      return start(['-e', '0'])
    case 'raw':
      return start([`${folder}/bridge.js`], {
        BENCH_TARGET_URL: targetUrl,
        BENCH_TARGET_TOKEN: targetToken,
      })
    case 'remote':
      return start([REMOTE, targetUrl, ...REMOTE_FLAGS, `Authorization:Bearer ${targetToken}`], {
        MCP_REMOTE_CONFIG_DIR: join(folder, 'remote'),
      })
    case 'stdio':
      return start([place.bin, 'stdio', targetUrl], ownEnvironment(place))
  }
}

const REMOTE = fileURLToPath(import.meta.resolve('mcp-remote/dist/proxy.js'))
/** Whatever saves it time. With a header it looks for no stored token. */
const REMOTE_FLAGS = ['--allow-http', '--transport', 'http-only', '--silent', '--header']

function ownEnvironment({ folder }: BridgePlace): Record<string, string> {
  return { MCP_DESCOPE_HOME: join(folder, 'home') }
}
