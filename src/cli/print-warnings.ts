import type { LoadedConfig } from '../config/load.js'
import { createLogger } from '../util/logger.js'
import { createRedactor } from '../util/redact.js'
import type { Runtime } from '../util/runtime.js'

/** Says on stderr what is odd about a configuration, as the configuration wants records written. */
export function printWarnings(
  { io, clock }: Pick<Runtime, 'io' | 'clock'>,
  { config, warnings, secrets }: Pick<LoadedConfig, 'config' | 'warnings' | 'secrets'>,
): void {
  const logger = createLogger({ io, clock, ...config.log, redact: createRedactor(secrets) })
  for (const warning of warnings) logger.warn('configuration', warning)
}
