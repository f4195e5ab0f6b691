import type { LoadedConfig } from '../config/load.js'
import { warnOfShortSecrets } from '../config/short-secrets.js'
import { createLogger } from '../util/logger.js'
import { createRedactor } from '../util/redact.js'
import type { Runtime } from '../util/runtime.js'

/** Says on stderr what is odd about a configuration, as the configuration wants records written. */
export function printWarnings(
  { io, clock }: Pick<Runtime, 'io' | 'clock'>,
  {
    config,
    warnings,
    secrets,
    origins,
  }: Pick<LoadedConfig, 'config' | 'warnings' | 'secrets' | 'origins'>,
): void {
  const logger = createLogger({ io, clock, ...config.log, redact: createRedactor(secrets) })
  for (const warning of [...warnings, ...warnOfShortSecrets({ origins })])
    logger.warn('configuration', warning)
}
