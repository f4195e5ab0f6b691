import { dotEnvFor } from '../../config/referenced-variables.js'
import type { Runtime } from '../../util/runtime.js'
import type { CheckFlags } from '../inputs.js'
import { type CheckedTarget, tokenFor } from './choose-credential.js'

/**
 * Makes the arguments and variables of a bridge to the same target. Headers go by the environment,
 * because others can read the arguments of a process.
 */
export function bridgeCommand(
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
      // it is not asked to sign in, whoever sits here
      CI: 'true',
      MCP_DESCOPE_LOG_LEVEL: 'warn',
      // empty where there are none: ours would go to a target that nobody named for them
      MCP_DESCOPE_HEADER: lines.join('\n'),
    },
  }
}
