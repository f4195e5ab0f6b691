import { afterEach, beforeEach, expect } from 'vitest'
import { type Identity, startIdentity } from '../../src/demo/identity/index.js'
import {
  type BridgeProcess,
  type BridgeSetup,
  createBrowser,
  createHome,
  startBridge,
} from './bridge.js'
import { type CliResult, runCli } from './cli.js'
import { clock } from './stack.js'
import { eventually } from './targets/eventually.js'
import { type ProtectedTarget, startProtectedTarget } from './targets/protected.js'
import type { RecordingOptions } from './targets/recording.js'

/** Somebody with a home and a browser, a target that wants a sign-in, and where one signs in. */
export interface BridgeUser {
  readonly identity: Identity
  readonly target: ProtectedTarget
  readonly home: string
  /** Visits what it is given, unless `visits` said otherwise. */
  readonly browser: ReturnType<typeof createBrowser>
  /** The variables that name home and browser. */
  readonly env: Record<string, string>
  startBridge(args?: string[], setup?: BridgeSetup): BridgeProcess
  /** Starts a bridge that has answered `initialize`. */
  openBridge(args?: string[], setup?: BridgeSetup): Promise<BridgeProcess>
  /** Opens a bridge that has called a tool, and has the stream of the target. */
  openSignedInBridge(args?: string[], setup?: BridgeSetup): Promise<BridgeProcess>
  /** Runs a command for the target. */
  run(command: string, ...args: string[]): Promise<CliResult>
  close(): Promise<void>
}

export interface BridgeUserOptions extends RecordingOptions {
  /** Whether the browser visits what it is given. Default `true`. */
  visits?: boolean
  /** More variables of each bridge. */
  env?: Record<string, string>
}

export async function startBridgeUser(options: BridgeUserOptions = {}): Promise<BridgeUser> {
  const { visits = true, env: more, ...recording } = options
  const identity = await startIdentity({ clock })
  const target = await startProtectedTarget(identity.issuer, recording)
  const home = createHome()
  const browser = createBrowser(visits)
  const env = { MCP_DESCOPE_HOME: home, BROWSER: browser.path, ...more }
  const started: BridgeProcess[] = []
  const user: BridgeUser = {
    ...{ identity, target, home, browser, env },
    startBridge(args = [], setup = {}) {
      const bridge = startBridge(target.url, { args, ...setup, env: { ...env, ...setup.env } })
      started.push(bridge)
      return bridge
    },
    async openBridge(args, setup) {
      const bridge = user.startBridge(args, setup)
      await bridge.handshake()
      return bridge
    },
    async openSignedInBridge(args, setup) {
      const bridge = await user.openBridge(args, setup)
      await bridge.call('echo')
      await eventually(() => expect(target.getStreams()).toHaveLength(1))
      return bridge
    },
    run: (command, ...args) => runCli([command, target.url, ...args], { env }),
    async close() {
      for (const bridge of started) bridge.child.kill('SIGKILL')
      await target.close()
      await identity.close()
    },
  }
  return user
}

/** Gives each test somebody of its own. */
export function useBridgeUser(options: BridgeUserOptions = {}): Readonly<BridgeUser> {
  let user: BridgeUser
  beforeEach(async () => {
    user = await startBridgeUser(options)
  })
  afterEach(() => user.close())
  return new Proxy({} as BridgeUser, { get: (_, key) => user[key as keyof BridgeUser] })
}
