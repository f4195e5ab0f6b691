import { randomBytes } from 'node:crypto'
import { type DemoStarters, type DemoStep, type RunningDemo, runDemo } from '../../../demo/demo.js'
import { EXIT } from '../../../usecases/exit-codes.js'
import { type Colors, createColors } from '../../../util/colors.js'
import type { Runtime } from '../../../util/runtime.js'
import { createDemoLogger, type DemoFlags, listenForStop } from './parts.js'

const NAMES = {
  identity: 'The Descope emulator',
  target: 'The example MCP server',
  proxy: 'The proxy',
} as const

/**
 * Runs the demonstration and, unless `once` is set, keeps it up until a signal comes.
 *
 * @returns The exit status.
 * @throws {ProxyError} `CHECK_FAILED` naming the step that failed, or `INTERRUPTED`.
 */
export async function runDemoCommand(
  runtime: Runtime,
  flags: DemoFlags & { once: boolean },
  starters: DemoStarters = createStarters(runtime, flags),
): Promise<number> {
  const { io } = runtime
  const colors = createColors(runtime, 'out')
  const logger = createDemoLogger(runtime, flags, 'info')
  const stop = listenForStop(runtime)
  try {
    const demo = await runDemo(
      runtime,
      starters,
      {
        onListening(part, url) {
          logger.info('listening', `${NAMES[part]} listens on ${url}`, { url, part })
        },
        onStep(step) {
          if (!flags.json) io.out(renderStep(step, colors))
        },
      },
      stop.signal,
    )
    try {
      const { steps, tools, urls } = demo
      if (flags.json) io.out(`${JSON.stringify({ ok: true, steps, tools, urls })}\n`)
      else io.out(flags.once ? '\nEverything worked.\n' : renderInvitation(demo, colors))
      if (!flags.once) await stop.requested
    } finally {
      await demo.close()
    }
    return EXIT.ok
  } finally {
    stop.release()
  }
}

function renderStep({ title, detail }: DemoStep, { green, dim }: Colors): string {
  return `${green('ok')}  ${title}\n    ${dim(detail)}\n`
}

function renderInvitation({ urls }: RunningDemo, { bold, cyan, dim }: Colors): string {
  const { proxy, target, identity, configUrl } = urls
  return `
${bold('Everything works. Try it by hand while it runs:')}

  MCP endpoint, protected    ${cyan(proxy)}
  Example MCP server         ${target}
  Descope emulator           ${identity}
  DESCOPE_CONFIG_URL         ${configUrl}

  ${dim('# the refusal that sends a client to the sign-in')}
  curl -i -X POST ${proxy}
  ${dim('# an assistant')}
  claude mcp add --transport http demo ${proxy}
  ${dim('# a graphical client')}
  npx @modelcontextprotocol/inspector

Press Ctrl-C to stop.
`
}

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
