import { Command, InvalidArgumentError, Option } from 'commander'
import type { BridgeTarget } from '../../usecases/access/find-target.js'
import { exitWith } from '../../usecases/exit-codes.js'
import { type BridgeFlags, PROTOCOLS, parseHeaders, TRANSPORTS } from '../../usecases/inputs.js'
import { createLogger, LOG_LEVELS, type Logger } from '../../util/logger.js'
import { createRedactor, isSecretName, isShortSecret, secretsOfUrl } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { addNetworkOptions, addSignInOptions, readFlags, repeatable } from '../options.js'

const AFTER_HELP = `
Started by an assistant, which speaks MCP on stdin and stdout. Ends when stdin is closed.
Each flag has a variable: MCP_DESCOPE_ and its name. Tokens and secrets come from the environment
only: MCP_DESCOPE_TOKEN, MCP_DESCOPE_CLIENT_ID, MCP_DESCOPE_CLIENT_SECRET.`

const SECRETS = ['MCP_DESCOPE_TOKEN', 'MCP_DESCOPE_CLIENT_SECRET']

/** Declares `stdio`: the bridge. `run` is replaced in tests of the flags. */
export function stdioCommand(runtime: Runtime, run = runBridge): Command {
  const command = new Command('stdio')
    .description('Bridge stdio to an MCP server over HTTP, signing in through Descope once.')
    .argument(
      '[target-or-url]',
      'name of a configured target, or a URL; by default all that are configured',
    )
  return addBridgeOptions(command)
    .addHelpText('after', AFTER_HELP)
    .action(async (argument: string | undefined) => {
      await run(runtime, argument, readFlags(command, runtime.env))
    })
}

async function runBridge(
  runtime: Runtime,
  argument: string | undefined,
  flags: BridgeFlags,
): Promise<void> {
  const [{ findBridgeTarget }, { composeBridge }, { runStdio }, { placesOf, requirePrivacy }] =
    await Promise.all([
      import('../../usecases/access/find-target.js'),
      import('../../usecases/run-bridge/run-bridge.js'),
      import('../../bridge/run.js'),
      
    ])
  const target = await findBridgeTarget(runtime, argument, flags)
  requirePrivacy(placesOf(target), flags.allowHttp)
  const headers = parseHeaders(flags.header, runtime.env)
  const logger = await createBridgeLogger(runtime, target, flags, headers)
  for (const warning of await warningsOn(runtime, target)) logger.warn('configuration', warning)
  exitWith(await runStdio(runtime, await composeBridge(runtime, target, flags, headers, logger)))
}

async function warningsOn({ env }: Runtime, { configured }: BridgeTarget): Promise<string[]> {
  const { warnOfShortSecret, warnOfShortSecrets } = await import('../../config/public-value.js')
  return [
    ...(configured?.loaded.warnings ?? []),
    ...(configured === undefined ? [] : warnOfShortSecrets(configured.loaded)),
    ...SECRETS.filter((name) => isShortSecret(env[name] ?? '')).map((name) =>
      warnOfShortSecret(name, 'environment'),
    ),
  ]
}

async function createBridgeLogger(
  { io, clock, env }: Runtime,
  { configured, signIn: { grant } }: BridgeTarget,
  { logLevel, logFile }: BridgeFlags,
  headers: readonly [string, string][],
): Promise<Logger> {
  const { log } = configured?.loaded.config ?? {}
  const write =
    logFile === undefined
      ? undefined
      : (await import('../../util/log-file.js')).openLogFile(logFile)
  const secrets = [
    ...(configured?.loaded.secrets ?? []),
    ...(grant.kind === 'server' ? secretsOfUrl(grant.url.href) : []),
    ...SECRETS.map((name) => env[name]),
    ...headers.filter(([name]) => isSecretName(name)).map(([, value]) => value),
  ]
  return createLogger({
    io: {
      err(line) {
        io.err(line)
        write?.(line)
      },
    },
    clock,
    level: logLevel ?? log?.level ?? 'info',
    format: log?.format ?? 'text',
    redact: createRedactor(secrets),
  })
}

const LONGEST_WAIT_S = 3_600

/** Adds the flags of the bridge. */
function addBridgeOptions(command: Command): Command {
  return addNetworkOptions(addSignInOptions(command))
    .addOption(repeatable('--header <header>', 'Header for the target, "Name: value"; repeatable.'))
    .addOption(
      new Option('--transport <kind>', 'How the target speaks MCP.')
        .choices(TRANSPORTS)
        .default('auto'),
    )
    .addOption(
      new Option('--protocol <version>', 'Which versions of MCP to use with the target.')
        .choices(PROTOCOLS)
        .default('auto'),
    )
    .addOption(new Option('--log-level <level>', 'How much to say.').choices(LOG_LEVELS))
    .option('--log-file <file>', 'Write the log there too, at most 5 files of 1 MB.')
    .option('--login-wait <seconds>', 'How long a call waits for a sign-in.', parseWait, 25)
    .option('--wait-for-login', 'Answer nothing before somebody signed in.', false)
}

function parseWait(text: string): number {
  const seconds = /^\d{1,5}(\.\d{1,3})?$/.test(text) ? Number(text) : -1
  if (seconds >= 0 && seconds <= LONGEST_WAIT_S) return seconds
  throw new InvalidArgumentError(`Expected a number of seconds up to ${LONGEST_WAIT_S}.`)
}
