import type { LoadedConfig } from '../config/load.js'
import { warnOfShortSecrets } from '../config/public-value.js'
import { createColors } from '../util/colors.js'
import { isMissingPart, messageOf, ProxyError } from '../util/errors.js'
import { createLogger } from '../util/logger.js'
import { createRedactor, escapeUnsafe, printableLines } from '../util/redact.js'
import type { Runtime } from '../util/runtime.js'

const BUG_HINT =
  'This is a mistake in the program; run the command again with `--log-level debug` and report what it prints.'

export interface PrintErrorOptions {
  /** Print one line of JSON instead of text. */
  json: boolean
  /** Print the causes of the error, too. */
  debug: boolean
}

/**
 * Says on stderr what failed and what to do about it.
 *
 * @param error Anything that was thrown; anything but a `ProxyError` counts as a mistake of ours.
 */
export function printError(
  runtime: Pick<Runtime, 'io' | 'env'>,
  error: unknown,
  { json, debug }: PrintErrorOptions,
): void {
  const redact = createRedactor()
  const known = error instanceof ProxyError
  const code = known ? error.code : 'INTERNAL'
  const message = printableLines(redact(messageOf(error)))
  const hint = known ? error.hint : isMissingPart(error) ? undefined : BUG_HINT
  if (json) {
    const problems = known && 'problems' in error ? { problems: error.problems } : {}
    const body = { error: { code, message, ...(hint === undefined ? {} : { hint }), ...problems } }
    runtime.io.err(`${redact(escapeUnsafe(JSON.stringify(body)))}\n`)
    return
  }
  const colors = createColors(runtime, 'err')
  let text = `${colors.red('error:')} ${message}\n`
  if (hint !== undefined) text += `${colors.cyan('hint: ')} ${printableLines(redact(hint))}\n`
  if (debug)
    for (const line of causesOf(error)) text += `${colors.dim(printableLines(redact(line)))}\n`
  runtime.io.err(text)
}

function causesOf(error: unknown): string[] {
  const lines: string[] = []
  let current = error
  for (let depth = 0; current instanceof Error && depth < 5; depth++) {
    lines.push(...(current.stack ?? String(current)).split('\n'))
    current = current.cause
    if (current !== undefined) lines.push(`caused by: ${messageOf(current)}`)
  }
  return lines
}

/** Logs the warnings of a configuration on stderr, in the format that it sets. */
export function printWarnings({ io, clock }: Runtime, loaded: LoadedConfig): void {
  const redact = createRedactor(loaded.secrets)
  const options = { io, clock, ...loaded.config.log }
  const logger = createLogger({ ...options, redact })
  for (const warning of loaded.warnings) logger.warn('configuration', warning)
  // such a secret may be a word of the warning, which never holds its value
  const plain = createLogger({ ...options, redact: createRedactor() })
  for (const warning of warnOfShortSecrets(loaded)) plain.warn('configuration', warning)
}
