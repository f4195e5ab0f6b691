import type { Command } from 'commander'
import type { Runtime } from '../util/runtime.js'

/** A command that is loaded only when it is called. */
export interface CommandEntry {
  readonly name: string
  readonly summary: string
  load(): Promise<(runtime: Runtime) => Command>
}

/** Every command, in the order of `--help`. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'serve',
    summary: 'put Descope sign-in in front of MCP servers',
    load: async () => (await import('./commands/serve.js')).serveCommand,
  },
  {
    name: 'config',
    summary: 'show, explain and check the configuration',
    load: async () => (await import('./commands/config.js')).configCommand,
  },
  {
    name: 'demo',
    summary: 'try everything on this machine, without an account',
    load: async () => (await import('./commands/demo.js')).demoCommand,
  },
]
