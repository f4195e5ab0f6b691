import { randomBytes } from 'node:crypto'
import type { DemoStarters } from '../../../demo/demo.js'
import type { Runtime } from '../../../util/runtime.js'
import { createDemoLogger, type DemoFlags } from './flags.js'

/** Makes the real parts of the demonstration: emulator, example target and proxy. */
export function createStarters(runtime: Runtime, flags: DemoFlags): DemoStarters {
  const { clock } = runtime
  return {
    async startIdentity() {
      const { startIdentity } = await import('../../../demo/identity/index.js')
      return startIdentity({ clock })
    },
    async startTarget({ token }) {
      const { startTarget } = await import('../../../demo/target/target.js')
      return startTarget({ clock, token })
    },
    async startProxy({ configUrl, targetUrl, targetToken }) {
      const { resolveConfig } = await import('../../../config/load.js')
      const { startServer } = await import('../../../serve/server.js')
      const { connectOffers } = await import('../../../hosts/connect.js')
      const { config, secrets } = resolveConfig({
        descope: { configUrl },
        server: { host: '127.0.0.1', port: flags.port },
        session: { secret: randomBytes(32).toString('base64url') },
        targets: {
          target: { url: targetUrl, credential: { type: 'bearer', token: targetToken } },
        },
      })
      const logger = createDemoLogger(runtime, flags, 'warn', secrets)
      // The configuration is given whole, so that nothing of the user's environment changes it.
      const server = await startServer(
        { clock, fetch: runtime.fetch, offers: connectOffers },
        config,
        logger,
      )
      return { url: server.resource, close: server.close }
    },
  }
}
