import { Command, CommanderError } from 'commander'
import { EXIT, SilentExit, STATUS_OF } from '../usecases/exit-codes.js'
import { messageOf, ProxyError } from '../util/errors.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'

/**
 * Runs one command.
 *
 * @param argv Arguments without the names of node and of the program.
 * @returns The exit status. Never rejects: whatever is thrown becomes a message and a status.
 */
export async function run(
  runtime: Runtime,
  argv: readonly string[],
  commands: readonly CommandEntry[] = COMMANDS,
): Promise<number> {
  const ownArguments = beforeDoubleDash(argv)
  try {
    const program = await buildProgram(runtime, ownArguments, commands)
    if (argv.length === 0) {
      runtime.io.err(program.helpInformation())
      return EXIT.usage
    }
    await program.parseAsync([...argv], { from: 'user' })
    return EXIT.ok
  } catch (thrown) {
    if (thrown instanceof SilentExit) return thrown.status
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return EXIT.ok
    const error = thrown instanceof CommanderError ? usageError(thrown) : thrown
    const debug =
      ownArguments.join(' ').includes('--log-level debug') ||
      ownArguments.includes('--log-level=debug') ||
      runtime.env['MCP_DESCOPE_LOG_LEVEL'] === 'debug'
    const { printError } = await import('./print-error.js')
    printError(runtime, error, { json: ownArguments.includes('--json'), debug })
    if (calledCommand(ownArguments) === 'stdio') await reportToHost(runtime, error)
    return error instanceof ProxyError ? STATUS_OF[error.code] : EXIT.failed
  }
}

/**
 * Loads only the command that is called. The others need no more than a name and a summary, and not
 * even that when the command is the first argument.
 */
async function buildProgram(
  runtime: Runtime,
  argv: readonly string[],
  commands: readonly CommandEntry[],
): Promise<Command> {
  const program = new Command(PRODUCT)
    .description('Descope sign-in in front of any MCP server.')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print help')
    // Otherwise the options of a subcommand would be taken for those of its command.
    .enablePositionalOptions()
  const called = calledCommand(argv)
  const plain = commands.find(({ name }) => name === argv[0])
  for (const entry of plain === undefined ? commands : [plain]) {
    const command = entry.name === called ? (await entry.load())(runtime) : new Command(entry.name)
    program.addCommand(command.summary(entry.summary))
  }
  for (const command of withSubcommands(program)) {
    command.exitOverride().configureOutput({
      writeOut: (text) => runtime.io.out(text),
      // Usage errors are thrown, and printed once, in our own form.
      writeErr: () => undefined,
      getOutHelpWidth: () => Math.min(runtime.io.columns, 100),
      getErrHelpWidth: () => Math.min(runtime.io.columns, 100),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
  }
  return program
}

function calledCommand(argv: readonly string[]): string | undefined {
  const [first, second] = argv.filter((argument) => !argument.startsWith('-'))
  return first === 'help' ? second : first
}

/** Answers the host's first request with the error: hosts show that, but rarely what is on stderr. */
async function reportToHost(runtime: Runtime, error: unknown): Promise<void> {
  const { answerPending } = await import('../bridge/startup-failure.js')
  const message = messageOf(error)
  const hint = error instanceof ProxyError ? error.hint : undefined
  await answerPending(runtime, hint === undefined ? message : `${message}. ${hint}`)
}

function* withSubcommands(command: Command): Generator<Command> {
  yield command
  for (const inner of command.commands) yield* withSubcommands(inner)
}

/** Turns `error: unknown option '--prot'\n(Did you mean --port?)` into message and hint. */
function usageError(error: CommanderError): ProxyError {
  if (error.code === 'commander.help') {
    return new ProxyError('USAGE', 'A command is missing', {
      hint: `Run \`${PRODUCT} --help\` to see all commands, or \`${PRODUCT} help <command>\` for one.`,
    })
  }
  const [first = '', suggestion] = error.message.replace(/^error: /, '').split('\n')
  const message = `${first.charAt(0).toUpperCase()}${first.slice(1).replace(/\.$/, '')}`
    .replaceAll("'", '"')
    // What follows the name may be a secret.
    .replace(/"(--[^"=]+)=[^"]*"/, '"$1"')
  return new ProxyError('USAGE', message, {
    hint: suggestion
      ? suggestion.replace(/^\((.*)\)$/, '$1')
      : `Run \`${PRODUCT} --help\` to see its arguments.`,
    cause: error,
  })
}

function beforeDoubleDash(argv: readonly string[]): readonly string[] {
  const end = argv.indexOf('--')
  return end < 0 ? argv : argv.slice(0, end)
}

/** A command that is loaded only when it is called. */
export interface CommandEntry {
  readonly name: string
  readonly summary: string
  load(): Promise<(runtime: Runtime) => Command>
}

/** Every command, in the order of `--help`. */
const COMMANDS: readonly CommandEntry[] = [
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
    name: 'audit',
    summary: 'check the audit trail',
    load: async () => (await import('./commands/audit.js')).auditCommand,
  },
  {
    name: 'demo',
    summary: 'try everything on this machine, without an account',
    load: async () => (await import('./commands/demo.js')).demoCommand,
  },
]
