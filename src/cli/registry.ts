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
    name: 'stdio',
    summary: 'bridge stdio to an MCP server, signing in once',
    load: async () => (await import('./commands/stdio.js')).stdioCommand,
  },
  {
    name: 'login',
    summary: 'sign in to a target',
    load: async () => (await import('./commands/login.js')).loginCommand,
  },
  {
    name: 'logout',
    summary: 'sign out: revoke and delete the tokens',
    load: async () => (await import('./commands/logout.js')).logoutCommand,
  },
  {
    name: 'status',
    summary: 'show who is signed in where',
    load: async () => (await import('./commands/status.js')).statusCommand,
  },
  {
    name: 'token',
    summary: 'print one access token for scripts',
    load: async () => (await import('./commands/token.js')).tokenCommand,
  },
  {
    name: 'add',
    summary: 'add a target to Claude, Cursor, VS Code and others',
    load: async () => (await import('./commands/add.js')).addCommand,
  },
  {
    name: 'inspect',
    summary: 'show every link of the chain to an MCP server',
    load: async () => (await import('./commands/inspect.js')).inspectCommand,
  },
  {
    name: 'test-target',
    summary: 'check an MCP server end to end, for CI',
    load: async () => (await import('./commands/test-target.js')).testTargetCommand,
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
