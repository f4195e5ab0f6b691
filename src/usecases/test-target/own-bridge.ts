import { dotEnvFor } from '../../config/referenced-variables.js'
import type { McpClient } from '../../diagnose/client.js'
import { ProxyError } from '../../util/errors.js'
import type { Runtime } from '../../util/runtime.js'
import type { CheckFlags } from '../inputs.js'
import { type CheckedTarget, tokenFor } from './choose-credential.js'

/** Starts this program's own bridge to the target, for `--via-stdio`. */
export async function openOwnBridge(
  runtime: Runtime,
  argument: string | undefined,
  flags: CheckFlags,
  checked: CheckedTarget,
): Promise<McpClient> {
  const { clock, system, program } = runtime
  if (system.start === undefined) throw new ProxyError('INTERNAL', 'No process can be started')
  const { args, env } = bridgeCommand(argument, flags, checked, runtime)
  const [{ createStdioClient }, bridge] = await Promise.all([
    import('../../diagnose/stdio-client.js'),
    system.start(program.node, [program.script, ...args], env),
  ])
  return createStdioClient(clock, bridge, flags.timeout * 1_000)
}

/** Headers go by the environment, because others can read the arguments of a process. */
function bridgeCommand(
  argument: string | undefined,
  flags: CheckFlags,
  { target, url, headers }: CheckedTarget,
  { env, cwd }: Pick<Runtime, 'env' | 'cwd'>,
): { args: string[]; env: Runtime['env'] } {
  const { configured } = target
  const file = flags.config ?? configured?.loaded.file
  const given: readonly (readonly [string, string | undefined])[] = [
    ['--config', configured === undefined ? undefined : file],
    ['--profile', flags.profile],
    ['--client-id', flags.clientId],
    ['--client-metadata-url', flags.clientMetadataUrl],
    ['--scope', flags.scope],
    ['--store', flags.store],
    ...flags.ca.map((path) => ['--ca', path] as const),
  ]
  const named = given.flatMap(([name, value]) => (value === undefined ? [] : [name, value]))
  const lines = headers.map(([name, value]) => `${name}: ${value}`)
  const hasToken = configured === undefined && tokenFor(url, env) !== undefined
  if (hasToken && !headers.some(([name]) => name === 'authorization')) {
    lines.push('authorization: Bearer $' + '{TARGET_TOKEN}')
  }
  return {
    args: [
      'stdio',
      ...(argument === undefined ? [] : [argument]),
      ...named,
      ...(flags.proxyEnv ? [] : ['--no-proxy-env']),
      ...(flags.ipv4 ? ['--ipv4'] : []),
      ...(flags.allowHttp ? ['--allow-http'] : []),
      ...(flags.useSystemCa ? ['--use-system-ca'] : []),
      '--no-browser',
    ],
    env: {
      ...(configured !== undefined && dotEnvFor({ cwd }, configured.loaded)),
      ...env,
      // so that the bridge starts no sign-in
      CI: 'true',
      MCP_DESCOPE_LOG_LEVEL: 'warn',
      // set even when empty: else the headers in our own variable would be sent to this target
      MCP_DESCOPE_HEADER: lines.join('\n'),
    },
  }
}
