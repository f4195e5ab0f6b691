import type { ProgramConfig, ProxyConfig } from '../config/types.js'
import type { Upstream } from '../http/pool.js'
import type { ChildBudget } from '../mcp/stdio-processes.js'
import { createStdioUpstream } from '../mcp/stdio-upstream.js'
import { childEnvironment } from '../util/child-environment.js'
import { ProxyError } from '../util/errors.js'
import type { Logger } from '../util/logger.js'
import { createRedactor, isSecretName } from '../util/redact.js'
import type { Clock, Runtime, System } from '../util/runtime.js'

/** What starting programs takes. */
export interface ProgramHost {
  readonly clock: Clock
  readonly env?: Runtime['env']
  readonly system?: Pick<System, 'spawn'>
}

export interface ProgramOptions {
  /** Seconds. */
  timeouts: Pick<ProxyConfig['timeouts'], 'start' | 'idle'>
  /** Shared by all targets. */
  budget: ChildBudget
  logger: Logger
}

/** Shorter values are words that any text may hold. */
const MIN_SECRET_LENGTH = 12

/** Opens a target that is a program. Nothing is started before the first request. */
export function createProgramUpstream(
  { clock, env = {}, system }: ProgramHost,
  name: string,
  program: ProgramConfig,
  { timeouts, budget, logger }: ProgramOptions,
): Upstream {
  const spawn = system?.spawn
  if (spawn === undefined) throw new ProxyError('INTERNAL', 'No program can be started here')
  const [command, ...args] = program.command
  return createStdioUpstream({
    ...{ clock, spawn, name, logger, budget, random: Math.random },
    program: { command, args, env: childEnvironment(env, program.env), cwd: program.cwd },
    redact: createRedactor(secretsOf(program)),
    limits: {
      children: program.maxChildren,
      requests: program.maxRequests,
      idleMs: timeouts.idle * 1_000,
      startMs: timeouts.start * 1_000,
    },
  })
}

/** What a program may have written of what it was given, and what clients must not read. */
function secretsOf({ env }: ProgramConfig): string[] {
  return Object.entries(env)
    .filter(([name, value]) => isSecretName(name) || value.length >= MIN_SECRET_LENGTH)
    .map(([, value]) => value)
}
