import { renderSummary } from '../diagnose/reporters/text.js'
import { failureOf } from '../usecases/exit-codes.js'
import type { InspectFlags } from '../usecases/inputs.js'
import { createInspection } from '../usecases/inspect/inspection.js'
import { checkTarget } from '../usecases/test-target/test-target.js'
import type { Runtime } from '../util/runtime.js'
import { PRODUCT, VERSION } from '../util/version.js'
import { curlOf, inspectionStyle, renderInspected } from './inspection-text.js'

/**
 * Shows every link of the chain to one target.
 *
 * @returns The exit status.
 * @throws {ProxyError} `USAGE` or `CONFIG_INVALID` when there is nothing to check.
 */
export async function inspectTarget(
  runtime: Runtime,
  argument: string | undefined,
  flags: InspectFlags,
): Promise<number> {
  const { io, clock } = runtime
  const began = clock.now()
  const inspection = createInspection(runtime, flags)
  const result = await checkTarget(runtime, argument, flags, inspection)
  const { report, worst } = result
  const found = inspection.gather(result)
  if (flags.json) io.out(`${JSON.stringify(found)}\n`)
  else {
    const style = inspectionStyle(runtime)
    const { bold, cyan } = style.colors
    io.out(`${bold(`${PRODUCT} ${VERSION}`)}   ${cyan(report.url)}\n\n`)
    io.out(renderInspected(found, style))
    io.out(renderSummary(report, clock.now() - began, style))
  }
  if (flags.curl) (flags.json ? io.err : io.out)(curlOf(found))
  if (flags.json && worst !== undefined) throw failureOf(report.checks, worst)
  return report.exitCode
}
