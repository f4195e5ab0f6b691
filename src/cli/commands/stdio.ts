import { Command } from 'commander'
import type { BridgeTarget } from '../../usecases/access/find-target.js'
import { exitWith } from '../../usecases/exit-codes.js'
import { type BridgeFlags, parseHeaders } from '../../usecases/inputs.js'
import { createLogger, type Logger } from '../../util/logger.js'
import { createRedactor, isSecretName, isShortSecret, secretsOfUrl } from '../../util/redact.js'
import type { Runtime } from '../../util/runtime.js'
import { addBridgeOptions } from '../bridge-options.js'
import { readFlags } from '../flag-variables.js'

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
  const [{ findBridgeTarget }, { bridgeParts }, { runStdio }, { placesOf, requirePrivacy }] =
    await Promise.all([
      import('../../usecases/access/find-target.js'),
      import('../../usecases/run-bridge/run-bridge.js'),
      import('../../bridge/run.js'),
      import('../../usecases/access/plain-http.js'),
    ])
  const target = await findBridgeTarget(runtime, argument, flags)
  requirePrivacy(placesOf(target), flags.allowHttp)
  const headers = parseHeaders(flags.header, runtime.env)
  const logger = await createBridgeLogger(runtime, target, flags, headers)
  for (const warning of await warningsOn(runtime, target)) logger.warn('configuration', warning)
  exitWith(await runStdio(runtime, await bridgeParts(runtime, target, flags, headers, logger)))
}

async function warningsOn({ env }: Runtime, { configured }: BridgeTarget): Promise<string[]> {
  const { warnOfShortSecret, warnOfShortSecrets } = await import('../../config/short-secrets.js')
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
